/** Input tokens of a request, without generating. */
import type { ChatRequest } from '../../core/chat.ts';
import type { Json } from '../../core/json.ts';
import { readJson } from '../../engine/reply.ts';
import type { Lease } from '../../engine/scheduler.ts';
import type { ResolvedModel } from '../../models/store.ts';
import { planTools } from './constraint.ts';
import { succeeded } from './engine-errors.ts';
import type { PreparedMessages } from './messages.ts';
import { renderPrompt, templateFacts } from './render.ts';
import { tokenize } from './tokenize.ts';

/** Pictures are counted by showing them to the engine: how many tokens one takes depends on its encoder. */
export async function countInput(
  request: ChatRequest,
  model: ResolvedModel,
  prepared: PreparedMessages,
  { runner, slot }: Lease,
  signal: AbortSignal,
): Promise<number> {
  const facts = await templateFacts(runner, signal);
  const { shown } = planTools(request);
  const prompt = await renderPrompt({
    request,
    model,
    messages: prepared.messages,
    tools: shown,
    runner,
    facts,
    signal,
  });
  if (prepared.images.length === 0)
    return (await tokenize(runner, prompt, { add_special: true, parse_special: true }, signal)).length;
  const body = {
    prompt: { prompt_string: prompt, multimodal_data: prepared.images },
    n_predict: 1,
    cache_prompt: true,
    ...(slot !== undefined && { id_slot: slot }),
  };
  const reply = await readJson(await succeeded(await runner.request('/completion', body, signal)));
  const timings = (reply['timings'] ?? {}) as { [key: string]: Json };
  return Number(timings['cache_n'] ?? 0) + Number(timings['prompt_n'] ?? 0);
}
