import assert from 'node:assert/strict';
import { test } from 'node:test';
import { chain, type Part } from './chain.ts';

async function said(stream: AsyncIterable<string>): Promise<string> {
  let all = '';
  for await (const word of stream) all += word;
  return all;
}

async function* stream(...words: string[]): AsyncGenerator<string> {
  yield* words;
}

test('parts come one after the other, and the generator goes on between them', async () => {
  const seen: string[] = [];
  async function* parts(): AsyncGenerator<Part<string>, void> {
    yield stream('a', 'b');
    seen.push('between');
    yield [];
    yield ['c', 'd'];
    seen.push('end');
  }
  assert.equal(await said(chain(parts())), 'abcd');
  assert.deepEqual(seen, ['between', 'end']);
});

async function* broken(): AsyncGenerator<string> {
  yield 'a';
  throw new Error('broken');
}

test('what a part throws is thrown in the generator, which may clean up or go on with something else', async () => {
  let cleaned = 0;
  async function* cleaning(): AsyncGenerator<Part<string>, void> {
    try {
      yield broken();
    } finally {
      cleaned++;
    }
  }
  async function* mending(): AsyncGenerator<Part<string>, void> {
    try {
      yield broken();
    } catch {
      yield stream('b');
    }
  }
  await assert.rejects(said(chain(cleaning())), /broken/);
  assert.equal(cleaned, 1);
  assert.equal(await said(chain(mending())), 'ab');
});

test('a reader that leaves closes the part and the generator', async () => {
  const closed: string[] = [];
  async function* endless(): AsyncGenerator<string> {
    try {
      for (;;) yield 'a';
    } finally {
      closed.push('part');
    }
  }
  async function* parts(): AsyncGenerator<Part<string>, void> {
    try {
      yield endless();
    } finally {
      closed.push('generator');
    }
  }
  for await (const _word of chain(parts())) break;
  assert.deepEqual(closed, ['part', 'generator']);
});
