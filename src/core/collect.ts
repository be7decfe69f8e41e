import type { AssistantPart, ChatEvent, ChatResult, ChatStream } from './chat.ts';
import { ViaductError } from './errors.ts';

/**
 * Fold a stream of events into one result, so that a unary reply is the same code as a streamed one.
 * Throws provider_invalid_response when the stream ends without `start` and `finish`.
 */
export async function collect(stream: ChatStream): Promise<ChatResult> {
  const folder = createFolder();
  for await (const batch of stream) for (const event of batch) folder.push(event);
  return folder.result();
}

/** The same, fed by hand: for doors that stream and still need the whole at the end. */
export function createFolder() {
  let start: Extract<ChatEvent, { type: 'start' }> | undefined;
  let finish: ChatResult['finish'] | undefined;
  const parts: AssistantPart[] = [];
  const calls = new Map<number, Extract<AssistantPart, { type: 'tool-call' }>>();
  const logprobs: NonNullable<ChatResult['logprobs']> = [];
  const citations: NonNullable<ChatResult['citations']> = [];
  let reasoningOpen = false;

  const grow = (type: 'text' | 'refusal', text: string) => {
    const last = parts.at(-1);
    if (last?.type === type) last.text += text;
    else parts.push({ type, text });
  };

  const lastReasoning = () => {
    const last = parts.at(-1);
    if (reasoningOpen && last?.type === 'reasoning') return last;
    const part = { type: 'reasoning' as const, text: '' };
    parts.push(part);
    reasoningOpen = true;
    return part as Extract<AssistantPart, { type: 'reasoning' }>;
  };

  return {
    push(event: ChatEvent) {
      switch (event.type) {
        case 'start':
          start ??= event;
          break;
        case 'text':
          grow('text', event.text);
          if (event.logprobs) logprobs.push(...event.logprobs);
          break;
        case 'citation':
          citations.push(event.citation);
          break;
        case 'refusal':
          grow('refusal', event.text);
          break;
        case 'image':
          parts.push({ type: 'image', source: event.source });
          break;
        case 'reasoning':
          lastReasoning().text += event.text;
          break;
        case 'reasoning-end': {
          const { type: _type, ...end } = event;
          Object.assign(lastReasoning(), end);
          reasoningOpen = false;
          break;
        }
        case 'tool-call': {
          const { index, id, name, signature } = event;
          const call = { type: 'tool-call' as const, id, name, arguments: '', ...(signature && { signature }) };
          calls.set(index, call);
          parts.push(call);
          break;
        }
        case 'tool-input': {
          const call = calls.get(event.index);
          if (call) call.arguments += event.json;
          break;
        }
        case 'finish':
          finish = event;
          break;
        default:
          event satisfies never;
      }
    },

    result(): ChatResult {
      if (!start || !finish)
        throw new ViaductError('provider_invalid_response', 'The model stopped before it finished its answer.');
      return {
        id: start.id,
        model: start.model,
        parts,
        finish,
        ...(logprobs.length > 0 && { logprobs }),
        ...(citations.length > 0 && { citations }),
      };
    },
  };
}
