/**
 * Which published contract describes what a door says. Anthropic publishes none that we have: only its errors' shape is
 * checked.
 */
import assert from 'node:assert/strict';
import { contract, eventsOf } from './contract.ts';
import { checkEvent, checkEvents, checkResponse } from './responses-contract.ts';

type Wire = { [field: string]: unknown };

export type DoorReply = {
  method: string;
  /** With query. */
  url: string;
  status: number;
  /** `content-type`. */
  type: string;
  body: string;
  /** False when the client left before the end. */
  whole: boolean;
};

/** Throws an AssertionError when the reply is not what the contract of its door says. What no contract describes passes. */
export function checkReply({ method, url, status, type, body, whole }: DoorReply): void {
  const path = decodeURI(url.split('?', 1)[0] ?? '');
  const form = type.split(';', 1)[0] ?? '';
  const door = doorOf(path);
  if (!door || method === 'HEAD') return;
  if (status >= 400) checkError(door, JSON.parse(body) as Wire);
  else if (status !== 200) return;
  else if (form === 'text/event-stream') checkStream(path, whole ? body : wholeEvents(body));
  else if (form === 'application/x-ndjson') checkLines(method, path, body, whole);
  else if (form === 'application/json' && whole) checkBody(door, method, path, JSON.parse(body));
}

/** The same for a message that goes to a client of the WebSocket at /v1/responses. */
export function checkSocketMessage(text: string): void {
  const { stream_id: _streamId, ...event } = JSON.parse(text) as Wire;
  const { type, status, error } = event;
  if (type !== 'error') {
    checkEvent(event);
    return;
  }
  assert.equal(typeof status, 'number', 'an error over WebSocket has a status');
  contract('openai').check('ErrorResponse', { error });
}

type Door = 'openai' | 'anthropic' | 'ollama';

function doorOf(path: string): Door | undefined {
  if (path.startsWith('/api/')) return 'ollama';
  if (/^\/v1\/messages(\/|$)/.test(path)) return 'anthropic';
  return path.startsWith('/v1/') ? 'openai' : undefined;
}

function checkError(door: Door, body: Wire) {
  if (door === 'openai') contract('openai').check('ErrorResponse', body);
  else if (door === 'ollama') assert.equal(typeof body['error'], 'string', 'an error of Ollama is a text');
  else {
    const { type, error } = body as { type: unknown; error: Wire };
    assert.deepEqual([type, typeof error['type'], typeof error['message']], ['error', 'string', 'string']);
  }
}

function checkBody(door: Door, method: string, path: string, value: unknown) {
  if (door === 'anthropic' || isRelayed(value)) return;
  const schemas = contract(door);
  const place = door === 'openai' ? path.slice('/v1'.length) : path;
  const schema = schemas.replyOf(method, place, 'application/json');
  if (schema) schemas.check(schema, asDescribed(place, value as Wire));
  if (isResponse(value)) checkResponse(value);
  if (path === '/v1/responses/compact') contract('open-responses').check('CompactResource', value);
}

const isResponse = (value: unknown) => (value as Wire | null)?.['object'] === 'response' && 'output' in (value as Wire);

/**
 * What a provider of the door's own protocol says goes through untouched, as old or as odd as it is. Only ours have ids
 * of this form.
 */
function isRelayed(value: unknown): boolean {
  const { id, object } = value as Wire;
  return relayable.test(String(object)) && !/^(resp_|chatcmpl-|cmpl-)[0-9a-f]{32}$/.test(String(id));
}
const relayable = /^(response|response\.compaction|chat\.completion|chat\.completion\.chunk|text_completion)$/;

const isEnd = /^response\.(completed|incomplete|failed)$/;

const streamSchemas: Record<string, string> = {
  '/v1/chat/completions': 'CreateChatCompletionStreamResponse',
  // A stream of completions is made of the same objects.
  '/v1/completions': 'CreateCompletionResponse',
};

function checkStream(path: string, body: string) {
  const events = eventsOf(body) as Wire[];
  if (events.some((event) => isRelayed(event['response'] ?? event))) return;
  if (path.startsWith('/v1/responses')) {
    // One that was cancelled or left has no last event, and items that never closed.
    if (isEnd.test(String(events.at(-1)?.['type']))) checkEvents(events, Number(events[0]?.['sequence_number']));
    else for (const event of events) checkEvent(event);
    return;
  }
  const name = streamSchemas[path];
  // A failure inside a stream is a chunk with `error`, which OpenAI's contract does not describe.
  for (const event of events)
    if (name) contract('openai').check('error' in event ? 'ErrorResponse' : name, asDescribed(path, event));
}

function checkLines(method: string, path: string, body: string, whole: boolean) {
  const schemas = contract('ollama');
  const schema = schemas.replyOf(method, path, 'application/x-ndjson');
  const lines = body.split('\n').filter((line) => line !== '');
  const events = (whole ? lines : lines.slice(0, -1)).map((line) => JSON.parse(line) as Wire);
  for (const event of events)
    if ('error' in event) checkError('ollama', event);
    else if (schema) schemas.check(schema, event);
  // The last record says what the whole reply would have said.
  const last = events.at(-1);
  const reply = schemas.replyOf(method, path, 'application/json');
  if (last?.['done'] === true && reply) schemas.check(reply, last);
}

const wholeEvents = (body: string) => body.slice(0, body.lastIndexOf('\n\n') + 1);

/**
 * A copy without what OpenAI itself sends and its contract leaves out: vectors in base64 (its README names them),
 * chunks of completions that are not the last, calls of free-text tools in chunks, and messages of the user in a list
 * of stored ones (its own example has one).
 */
function asDescribed(path: string, value: Wire): Wire {
  const copy = structuredClone(value) as { data?: Wire[]; choices?: (Wire & { delta?: { tool_calls?: Wire[] } })[] };
  for (const entry of copy.data ?? []) {
    if (typeof entry['embedding'] === 'string') entry['embedding'] = [];
    if (path.endsWith('/messages') && 'role' in entry) entry['role'] = 'assistant';
  }
  for (const choice of copy.choices ?? []) {
    if (path === '/v1/completions' && choice['finish_reason'] === null) choice['finish_reason'] = 'stop';
    for (const call of choice.delta?.tool_calls ?? []) if (call['type'] === 'custom') call['type'] = 'function';
  }
  return copy;
}
