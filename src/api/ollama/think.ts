import { ViaductError } from '../../core/errors.ts';
import type { JsonObject } from '../../core/json.ts';
import type { Services } from '../define.ts';

/**
 * Ollama refuses to let a model think that has not learnt to, and its clients count on it to find out. Models that are not
 * on this machine are left to their providers. Throws unsupported_capability.
 */
export async function checkThink({ models }: Services, { model, think }: JsonObject): Promise<void> {
  if (!think || typeof model !== 'string') return;
  const local = await models.resolve(model).catch(() => undefined);
  if (!local || local.capabilities.includes('thinking')) return;
  throw new ViaductError('unsupported_capability', `"${model}" does not support thinking.`, { param: 'think' });
}
