import type { ChatEvent } from '../../core/chat.ts';
import { decodeUsage } from './resource.ts';
import { createStreamEncoder } from './stream-encoder.ts';
import type { Item, ResponseEvent, ResponseResource } from './wire.ts';

/** A finished response → the events that its stream would have had, one delta per part. */
export function replay(resource: ResponseResource): ResponseEvent[] {
  const ids = resource.output.flatMap(({ type, id }) => (type === 'compaction' ? [] : [id]));
  const custom = resource.output.flatMap((item) => (item.type === 'custom_tool_call' ? [item.name] : []));
  const encoder = createStreamEncoder({
    resource: { ...resource, output: [], usage: null, completed_at: null, error: null, incomplete_details: null },
    newId: () => ids.shift() ?? '',
    customTools: new Set(custom),
    summary: resource.output.some((item) => item.type === 'reasoning' && item.summary.length > 0),
  });
  const events = encoder.begin();
  for (const [index, item] of resource.output.entries())
    if (item.type === 'compaction') events.push(...encoder.add(item));
    else for (const event of chatEvents(item, index)) events.push(...encoder.push(event, 0));
  const reason =
    resource.incomplete_details?.reason === 'content_filter'
      ? 'content-filter'
      : resource.incomplete_details
        ? 'length'
        : 'stop';
  const end = encoder.push({ type: 'finish', reason, usage: decodeUsage(resource.usage) }, 0);
  return [...events, ...end].map((event) =>
    'response' in event && event.type !== 'response.created' && event.type !== 'response.in_progress'
      ? { ...event, type: terminalType(resource), response: resource }
      : event,
  );
}

const terminalType = ({ status }: ResponseResource) =>
  status === 'completed' || status === 'incomplete' ? `response.${status}` : 'response.failed';

function chatEvents(item: Item, index: number): ChatEvent[] {
  switch (item.type) {
    case 'message':
      return item.content.flatMap((part): ChatEvent[] =>
        part.type === 'output_text'
          ? [{ type: 'text', text: part.text }]
          : part.type === 'refusal'
            ? [{ type: 'refusal', text: part.refusal }]
            : [],
      );
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
