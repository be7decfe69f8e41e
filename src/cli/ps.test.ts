import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Client } from './client.ts';
import type { Io } from './define.ts';
import { ps } from './ps.ts';

async function linesOf(models: object[], options: Record<string, boolean> = {}) {
  const lines: string[] = [];
  const client = { json: async () => ({ models }) } as unknown as Client;
  const io: Io = {
    out: (line) => lines.push(line),
    write() {},
    note() {},
    interactive: false,
    connect: async () => client,
  };
  await ps.run?.([], options, io);
  return lines;
}

const loaded = {
  name: 'smollm2:135m',
  digest: '9077fe9d2ae1a4a41a868836b56b8163731a8fe16621397028c2c76f838c6907',
  size: 1_013_769_280,
  size_vram: 0,
  expires_at: new Date(Date.now() + 300_000).toISOString(),
  context_length: 8192,
  parallel: 4,
};

test('ps says how to load a model when none is loaded', async () => {
  assert.deepEqual(await linesOf([]), ['No model is loaded. Load one with: viaduct run NAME']);
  assert.deepEqual(await linesOf([], { json: true }), ['[]']);
});

test('ps shows what is loaded, where, with which context and until when', async () => {
  const [head, line] = await linesOf([loaded]);
  assert.match(head ?? '', /^NAME +ID +SIZE +PROCESSOR +CONTEXT +UNTIL$/);
  assert.match(line ?? '', /^smollm2:135m +9077fe9d2ae1 +1\.0 GB +100% CPU +8192 × 4 +5 min from now$/);
  const forever = { ...loaded, size_vram: 506_884_640, expires_at: new Date(Date.now() + 9.2e12).toISOString() };
  assert.match((await linesOf([forever]))[1] ?? '', /50%\/50% CPU\/GPU +8192 × 4 +forever$/);
});
