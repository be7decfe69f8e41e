import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import type { ChatEvent, ChatRequest } from '../core/chat.ts';
import { renameTools } from './tool-names.ts';

const long = `mcp__${'a'.repeat(40)}__${'list_all_the_things_'.repeat(3)}`;
const request = (names: string[], more: Partial<ChatRequest> = {}): ChatRequest => ({
  model: 'm',
  messages: [{ role: 'user', parts: [{ type: 'text', text: 'Hello' }] }],
  stream: false,
  tools: names.map((name) => ({ name })),
  ...more,
});
const called = (name: string): ChatEvent => ({ type: 'tool-call', index: 0, id: 'call_1', name });

describe('tool names', () => {
  test('that every provider takes stay as they are', () => {
    assert.equal(renameTools(request(['weather', 'get-time_2', 'x'.repeat(64)])), undefined);
  });

  test('that are too long or of other characters are changed for the model and back for the client', () => {
    const renamed = renameTools(request([long, 'files/read', 'weather']));
    const [first = '', second = '', third] = renamed?.request.tools?.map(({ name }) => name) ?? [];
    assert.match(first, /^mcp__a+[\w-]*_[0-9a-f]{8}$/);
    assert.equal(first.length, 64);
    assert.match(second, /^files_read_[0-9a-f]{8}$/);
    assert.equal(third, 'weather');
    assert.deepEqual(renamed?.restore([called(first), called('weather')]), [called(long), called('weather')]);
  });

  test('are changed everywhere: in the choice, and in calls of earlier turns whose tool is gone', () => {
    const renamed = renameTools(
      request([long], {
        toolChoice: { allowed: [long], mode: 'required' },
        messages: [
          { role: 'assistant', parts: [{ type: 'tool-call', id: 'call_1', name: 'old.tool', arguments: '{}' }] },
          { role: 'tool', toolCallId: 'call_1', parts: [{ type: 'text', text: 'done' }] },
        ],
      }),
    );
    const [name] = renamed?.request.tools?.map((tool) => tool.name) ?? [];
    assert.deepEqual(renamed?.request.toolChoice, { allowed: [name], mode: 'required' });
    const [message] = renamed?.request.messages ?? [];
    assert.ok(message?.role === 'assistant' && message.parts[0]?.type === 'tool-call');
    assert.match(message.parts[0].name, /^old_tool_[0-9a-f]{8}$/);
  });

  test('never meet each other', () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.string({ minLength: 1, maxLength: 90, unit: 'grapheme' }), { minLength: 1 }),
        (names) => {
          const renamed = renameTools(request(names));
          const sent = (renamed?.request ?? request(names)).tools?.map(({ name }) => name) ?? [];
          assert.equal(new Set(sent).size, names.length);
          assert.ok(sent.every((name) => /^[\w-]{1,64}$/.test(name)));
          const back = renamed?.restore(sent.map(called)) ?? sent.map(called);
          assert.deepEqual(
            back.map((event) => event.type === 'tool-call' && event.name),
            names,
          );
        },
      ),
    );
  });
});
