import assert from 'node:assert/strict';
import { test } from 'node:test';
import { chain, type Part } from './chain.ts';
import type { ChatEvent, ChatStream } from './chat.ts';

const text = (words: string): ChatEvent[] => [{ type: 'text', text: words }];

async function said(stream: ChatStream): Promise<string> {
  let all = '';
  for await (const batch of stream) for (const event of batch) all += event.type === 'text' ? event.text : '';
  return all;
}

async function* stream(...words: string[]): ChatStream {
  for (const word of words) yield text(word);
}

test('parts come one after the other, and the generator goes on between them', async () => {
  const seen: string[] = [];
  async function* parts(): AsyncGenerator<Part, void> {
    yield stream('a', 'b');
    seen.push('between');
    yield [];
    yield [text('c'), text('d')];
    seen.push('end');
  }
  assert.equal(await said(chain(parts())), 'abcd');
  assert.deepEqual(seen, ['between', 'end']);
});

test('what a part throws is thrown in the generator, which may clean up or go on with something else', async () => {
  let cleaned = 0;
  async function* broken(): ChatStream {
    yield text('a');
    throw new Error('broken');
  }
  async function* parts(): AsyncGenerator<Part, void> {
    try {
      yield broken();
    } finally {
      cleaned++;
    }
  }
  async function* mending(): AsyncGenerator<Part, void> {
    try {
      yield broken();
    } catch {
      yield stream('b');
    }
  }
  await assert.rejects(said(chain(parts())), /broken/);
  assert.equal(cleaned, 1);
  assert.equal(await said(chain(mending())), 'ab');
});

test('a reader that leaves closes the part and the generator', async () => {
  const closed: string[] = [];
  async function* endless(): ChatStream {
    try {
      for (;;) yield text('a');
    } finally {
      closed.push('part');
    }
  }
  async function* parts(): AsyncGenerator<Part, void> {
    try {
      yield endless();
    } finally {
      closed.push('generator');
    }
  }
  for await (const _batch of chain(parts())) break;
  assert.deepEqual(closed, ['part', 'generator']);
});
