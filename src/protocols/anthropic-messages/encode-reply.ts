/** Core events → what a client of Anthropic's API reads. Source: https://docs.anthropic.com/en/docs/build-with-claude/streaming */
import type { AssistantPart, ChatEvent, ChatResult, Citation } from '../../core/chat.ts';
import type { JsonObject } from '../../core/json.ts';
import { codePoints } from '../citations.ts';
import { pictureText } from '../picture.ts';
import { parseObject } from '../read.ts';
import { citedPieces, encodeCitation } from './citations.ts';
import { sealSignature } from './signature.ts';
import { encodeReason } from './stop-reason.ts';
import { encodeUsage } from './usage.ts';

/** Result → body of a unary reply. */
export function encodeResponse({ id, model, parts, finish, citations }: ChatResult): JsonObject {
  return {
    ...envelope(id, model),
    content: citations ? encodeCited(parts, citations) : parts.flatMap(encodePart),
    ...encodeReason(finish),
    usage: encodeUsage(finish.usage),
  };
}

/** What a message has before anything is said. */
const envelope = (id: string, model: string): JsonObject => ({
  id: id.startsWith('msg_') ? id : `msg_${id}`,
  type: 'message',
  role: 'assistant',
  model,
  content: [],
  stop_reason: null,
  stop_sequence: null,
});

/** Text is cut into blocks where what is cited begins and ends; sources of no words in particular stand with the last of it. */
function encodeCited(parts: AssistantPart[], citations: Citation[]): JsonObject[] {
  let said = 0;
  const content = parts.flatMap((part): JsonObject[] => {
    if (part.type !== 'text') return encodePart(part);
    const pieces = citedPieces(part.text, said, citations);
    said += codePoints(part.text);
    return pieces.map(({ text, citations }) => textBlock(text, citations));
  });
  const loose = citations.flatMap((citation) => (citation.span ? [] : (encodeCitation(citation) ?? [])));
  const last = content.findLast(({ type }) => type === 'text');
  if (last && loose.length > 0) last['citations'] = [...((last['citations'] as JsonObject[] | null) ?? []), ...loose];
  return content;
}

const textBlock = (text: string, citations: JsonObject[] = []): JsonObject => ({
  type: 'text',
  text,
  citations: citations.length > 0 ? citations : null,
});

function encodePart(part: AssistantPart): JsonObject[] {
  switch (part.type) {
    case 'text':
    case 'refusal':
      return part.text === '' ? [] : [textBlock(part.text)];
    case 'image':
      return [textBlock(pictureText(part.source))];
    case 'reasoning': {
      if (part.redacted !== undefined && part.origin === 'anthropic-messages')
        return [{ type: 'redacted_thinking', data: part.redacted }];
      const signature = sealSignature(part);
      return part.text === '' && signature === '' ? [] : [{ type: 'thinking', thinking: part.text, signature }];
    }
    case 'tool-call':
      return [{ type: 'tool_use', id: toolUseId(part.id), name: part.name, input: parseObject(part.arguments) ?? {} }];
  }
}

/** Ids that we or OpenAI made, as Anthropic writes its own. */
const toolUseId = (id: string): string => (id.startsWith('call_') ? `toolu_${id.slice(5)}` : id);

type Call = { id: string; name: string; json: string };

/**
 * Events → text of the stream: every event with its name. Blocks follow one another here, while calls of other protocols may
 * grow side by side: such a call waits until the one before it is whole. `model` is the name to answer under, else the event's.
 */
export function createStreamEncoder(model?: string): { push(event: ChatEvent): string; end(): string } {
  let out = '';
  let next = 0;
  let open: 'text' | 'thinking' | { call: number } | undefined;
  /** Words in the open block have a source: what is said next is not theirs. */
  let cited = false;
  /** Sources that wait for text. */
  let sources: JsonObject[] = [];
  const calls = new Map<number, Call>();
  /** Calls that have begun and wait for their turn, in order. */
  let waiting: number[] = [];

  const send = (type: string, fields: JsonObject) => {
    out += `event: ${type}\ndata: ${JSON.stringify({ type, ...fields })}\n\n`;
  };
  const begin = (content_block: JsonObject) => send('content_block_start', { index: next, content_block });
  const delta = (fields: JsonObject) => send('content_block_delta', { index: next, delta: fields });

  const close = () => {
    if (!open) return;
    if (open === 'thinking') delta({ type: 'signature_delta', signature: '' });
    stop();
  };
  const stop = () => {
    send('content_block_stop', { index: next });
    next++;
    open = undefined;
    cited = false;
  };

  const input = (json: string) => {
    if (json !== '') delta({ type: 'input_json_delta', partial_json: json });
  };
  const beginCall = (index: number) => {
    const call = calls.get(index);
    if (!call) return;
    close();
    begin({ type: 'tool_use', id: call.id, name: call.name, input: {} });
    open = { call: index };
    input(call.json);
  };
  /** Everything that waits, one call after the other. */
  const flushCalls = () => {
    const order = waiting;
    waiting = [];
    for (const index of order) beginCall(index);
  };

  const ensure = (kind: 'text' | 'thinking') => {
    if (open === kind) return;
    flushCalls();
    close();
    begin(kind === 'text' ? { type: 'text', text: '' } : { type: 'thinking', thinking: '', signature: '' });
    open = kind;
  };

  const say = (text: string, begins = false) => {
    if (text === '') return;
    // White space alone makes no block: the API would not take it back.
    if (open === 'text' && (cited || begins) && text.trim() !== '') close();
    ensure('text');
    delta({ type: 'text_delta', text });
    if (sources.length === 0) return;
    for (const citation of sources) delta({ type: 'citations_delta', citation });
    sources = [];
  };

  const cite = (citation: Citation) => {
    const wire = encodeCitation(citation);
    if (!wire) return;
    if (open !== 'text') {
      sources.push(wire);
      return;
    }
    delta({ type: 'citations_delta', citation: wire });
    cited ||= citation.span !== undefined;
  };

  const endThought = (event: Extract<ChatEvent, { type: 'reasoning-end' }>) => {
    if (event.redacted !== undefined && event.origin === 'anthropic-messages') {
      flushCalls();
      close();
      begin({ type: 'redacted_thinking', data: event.redacted });
      stop();
      return;
    }
    const signature = sealSignature(event);
    if (open !== 'thinking' && signature === '') return;
    ensure('thinking');
    delta({ type: 'signature_delta', signature });
    stop();
  };

  const growCall = (index: number, json: string) => {
    const call = calls.get(index);
    if (!call) return;
    call.json += json;
    if (typeof open === 'object' && open.call === index) input(json);
  };

  const startCall = (index: number, id: string, name: string) => {
    calls.set(index, { id: toolUseId(id), name, json: '' });
    const current = typeof open === 'object' ? calls.get(open.call) : undefined;
    const free = waiting.length === 0 && (!current || parseObject(current.json) !== undefined);
    if (free) beginCall(index);
    else waiting.push(index);
  };

  const handle = (event: ChatEvent) => {
    switch (event.type) {
      case 'start':
        send('message_start', {
          message: { ...envelope(event.id, model ?? event.model), usage: encodeUsage({ input: 0, output: 0 }) },
        });
        break;
      case 'text':
        say(event.text, event.begins);
        break;
      case 'citation':
        cite(event.citation);
        break;
      case 'refusal':
        say(event.text);
        break;
      case 'image':
        say(pictureText(event.source));
        break;
      case 'reasoning':
        if (event.text === '') break;
        ensure('thinking');
        delta({ type: 'thinking_delta', thinking: event.text });
        break;
      case 'reasoning-end':
        endThought(event);
        break;
      case 'tool-call':
        startCall(event.index, event.id, event.name);
        break;
      case 'tool-input':
        growCall(event.index, event.json);
        break;
      case 'finish':
        flushCalls();
        close();
        send('message_delta', { delta: encodeReason(event), usage: encodeUsage(event.usage) });
        send('message_stop', {});
        break;
      default:
        event satisfies never;
    }
  };

  return {
    push(event) {
      out = '';
      handle(event);
      return out;
    },
    end: () => '',
  };
}
