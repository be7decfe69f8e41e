/** Everything that the Responses API says, checked against both published contracts: OpenAI's and Open Responses'. */
import assert from 'node:assert/strict';
import { contract } from './contract.ts';

type Wire = { [field: string]: unknown };

/** Names of Open Responses' schemas by event type. OpenAI's names for raw thoughts and free-text calls are not among them. */
const openResponsesEvents: Record<string, string> = {
  'response.created': 'ResponseCreatedStreamingEvent',
  'response.queued': 'ResponseQueuedStreamingEvent',
  'response.in_progress': 'ResponseInProgressStreamingEvent',
  'response.completed': 'ResponseCompletedStreamingEvent',
  'response.failed': 'ResponseFailedStreamingEvent',
  'response.incomplete': 'ResponseIncompleteStreamingEvent',
  'response.output_item.added': 'ResponseOutputItemAddedStreamingEvent',
  'response.output_item.done': 'ResponseOutputItemDoneStreamingEvent',
  'response.content_part.added': 'ResponseContentPartAddedStreamingEvent',
  'response.content_part.done': 'ResponseContentPartDoneStreamingEvent',
  'response.output_text.delta': 'ResponseOutputTextDeltaStreamingEvent',
  'response.output_text.done': 'ResponseOutputTextDoneStreamingEvent',
  'response.output_text.annotation.added': 'ResponseOutputTextAnnotationAddedStreamingEvent',
  'response.refusal.delta': 'ResponseRefusalDeltaStreamingEvent',
  'response.refusal.done': 'ResponseRefusalDoneStreamingEvent',
  'response.function_call_arguments.delta': 'ResponseFunctionCallArgumentsDeltaStreamingEvent',
  'response.function_call_arguments.done': 'ResponseFunctionCallArgumentsDoneStreamingEvent',
  'response.reasoning_summary_part.added': 'ResponseReasoningSummaryPartAddedStreamingEvent',
  'response.reasoning_summary_part.done': 'ResponseReasoningSummaryPartDoneStreamingEvent',
  'response.reasoning_summary_text.delta': 'ResponseReasoningSummaryDeltaStreamingEvent',
  'response.reasoning_summary_text.done': 'ResponseReasoningSummaryDoneStreamingEvent',
  error: 'ErrorStreamingEvent',
};
const openResponsesItems = new Set<unknown>([
  'message',
  'function_call',
  'function_call_output',
  'reasoning',
  'compaction',
]);
const onlyOpenAi = /^response\.(reasoning_text|custom_tool_call_input)\./;

/**
 * A response object. Open Responses wants every field there, null where empty. Its schema of 2026-04-24 takes function tools and
 * text formats without a schema only, so what has others is checked against OpenAI's alone.
 */
export function checkResponse(response: unknown): void {
  const { text, tools, output } = response as { text: { format: Wire }; tools: Wire[]; output: Wire[] };
  contract('openai').check('Response', response);
  const known =
    text.format['type'] !== 'json_schema' &&
    tools.every(({ type }) => type === 'function') &&
    output.every(({ type }) => openResponsesItems.has(type));
  if (known) contract('open-responses').check('ResponseResource', response);
}

/** One event of a stream, by both contracts. */
export function checkEvent(event: Wire): void {
  const type = String(event['type']);
  contract('openai').check(contract('openai').eventOf('ResponseStreamEvent', type) ?? 'ResponseStreamEvent', event);
  const name = openResponsesEvents[type];
  if (name && !('response' in event) && !isForeignItem(event)) contract('open-responses').check(name, event);
  if (!name) assert.match(type, onlyOpenAi);
  if ('response' in event) checkResponse(event['response']);
}

/** The events of one stream: each by the contracts, numbers without a gap, every item and part opened before it grows and closed
 * once. What begins later (`firstNumber`) is checked event by event only. */
export function checkEvents(all: readonly object[], firstNumber = 0): void {
  const events = all as Wire[];
  const items = new Map<unknown, string>();
  const parts = new Map<string, boolean>();
  for (const [index, event] of events.entries()) {
    const type = String(event['type']);
    assert.equal(event['sequence_number'], firstNumber + index, `number of ${type}`);
    checkEvent(event);
    if (firstNumber === 0) checkPlace(event, type, items, parts);
  }
  const last = String(events.at(-1)?.['type']);
  assert.match(last, /^response\.(completed|incomplete|failed)$/);
  if (last === 'response.failed') return;
  for (const [key, open] of parts) assert.equal(open, false, `${key} was never closed`);
  for (const [key, state] of items) assert.equal(state, 'done', `item ${String(key)} was never closed`);
}

const isForeignItem = ({ item }: Wire) => item !== undefined && !openResponsesItems.has((item as Wire)['type']);

function checkPlace(event: Wire, type: string, items: Map<unknown, string>, parts: Map<string, boolean>) {
  const index = event['output_index'];
  if (index === undefined) return;
  const id = (event['item'] as Wire | undefined)?.['id'] ?? event['item_id'];
  if (type === 'response.output_item.added') {
    assert.equal(index, items.size, 'items are numbered as they come');
    items.set(id, 'open');
    return;
  }
  assert.equal(items.get(id), 'open', `${type} of an item that is not open`);
  const key = `${String(id)}/${String(event['content_index'] ?? event['summary_index'])}`;
  if (/part\.added$/.test(type)) {
    assert.equal(parts.has(key), false, `${key} opened twice`);
    parts.set(key, true);
  } else if (/((text|refusal|part)\.(delta|done)|annotation\.added)$/.test(type)) {
    assert.equal(parts.get(key), true, `${type} of a part that is not open`);
    if (/part\.done$/.test(type)) parts.set(key, false);
  }
  if (type === 'response.output_item.done') items.set(id, 'done');
}
