import type { ChatEvent } from '../../core/chat.ts';
import { decodeUsage } from './resource.ts';
import { createStreamEncoder } from './stream-encoder.ts';
import type { Item, MessageItem, ResponseEvent, ResponseResource } from './wire.ts';

/** A finished response → the events that its stream would have had, one delta per part. */
export function replay(resource: ResponseResource): ResponseEvent[] {
  const { output } = resource;
  // Two messages in a row would become one: the second is shown whole, as are items that no model writes piece by piece.
  const spoken = output.map(
    (item, index) => !(item.type === 'message' && output[index - 1]?.type === 'message') && isSpoken(item),
  );
  const ids = output.filter((_, index) => spoken[index]).map(({ id }) => id);
  const encoder = createStreamEncoder({
    resource: { ...resource, output: [], usage: null, completed_at: null, error: null, incomplete_details: null },
    newId: () => ids.shift() ?? '',
    customTools: new Set(output.flatMap((item) => (item.type === 'custom_tool_call' ? [item.name] : []))),
    summary: output.some((item) => item.type === 'reasoning' && item.summary.length > 0),
  });
  const events = encoder.begin();
  for (const [index, item] of output.entries())
    if (!spoken[index]) events.push(...encoder.add(item));
    else if (item.type === 'message')
      for (const part of item.content) {
        events.push(...chatEventsOf(part).flatMap((event) => encoder.push(event, 0)));
        if (part.type === 'output_text') events.push(...part.annotations.flatMap(encoder.annotate));
      }
    else for (const event of chatEvents(item, index)) events.push(...encoder.push(event, 0));
  events.push(...encoder.push({ type: 'finish', reason: reasonOf(resource), usage: decodeUsage(resource.usage) }, 0));
  return events.map((event, at): ResponseEvent => {
    if (at === events.length - 1) return { ...event, type: endOf(resource), response: resource };
    if (event.type === 'response.output_item.done') return { ...event, item: output[Number(event['output_index'])] };
    return event;
  });
}

const isSpoken = ({ type }: Item) =>
  type === 'message' || type === 'reasoning' || type === 'function_call' || type === 'custom_tool_call';

function reasonOf({ incomplete_details }: ResponseResource) {
  if (!incomplete_details) return 'stop';
  return incomplete_details.reason === 'content_filter' ? 'content-filter' : 'length';
}

const endOf = ({ status }: ResponseResource) =>
  status === 'completed' || status === 'incomplete' ? `response.${status}` : 'response.failed';

function chatEventsOf(part: MessageItem['content'][number]): ChatEvent[] {
  if (part.type === 'output_text') return [{ type: 'text', text: part.text }];
  return part.type === 'refusal' ? [{ type: 'refusal', text: part.refusal }] : [];
}

function chatEvents(item: Item, index: number): ChatEvent[] {
  switch (item.type) {
    case 'reasoning':
      return [
        { type: 'reasoning', text: [...(item.content ?? []), ...item.summary].map(({ text }) => text).join('\n\n') },
        { type: 'reasoning-end' },
      ];
    case 'function_call':
      return [
        { type: 'tool-call', index, id: item.call_id, name: item.name },
        { type: 'tool-input', index, json: item.arguments },
      ];
    case 'custom_tool_call':
      return [
        { type: 'tool-call', index, id: item.call_id, name: item.name },
        { type: 'tool-input', index, json: JSON.stringify({ input: item.input }) },
      ];
    default:
      return [];
  }
}
