/** Which targets can do what a request needs. */
import { hostedContext } from '../catalog.ts';
import type { Needs } from '../needs.ts';
import type { Target } from './target.ts';

/** Drops targets known to be unable, as long as one is left that may be able. */
export function capable(targets: Target[], needs: Needs): Target[] {
  if (targets.length < 2) return targets;
  const able = targets.filter((target) => canServe(target, needs));
  return able.length > 0 ? able : targets;
}

/** A guess of a prompt's tokens may be wrong by this much before we act on it. */
const guessMargin = 0.6;

function canServe({ provider, model }: Target, needs: Needs): boolean {
  const info = provider.describe?.(model);
  const context = info?.contextLength ?? hostedContext(provider.kind, model);
  if (context !== undefined && needs.inputTokens * guessMargin > context) return false;
  const can = info?.capabilities;
  if (!can) return true;
  if (needs.images && !can.includes('vision')) return false;
  // The local engine forces calls and schemas by grammar, whatever the model was trained for.
  if (provider.kind === 'local') return true;
  return !(needs.tools && !can.includes('tools')) && !(needs.jsonSchema && !can.includes('json'));
}
