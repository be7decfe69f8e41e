import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import fc from 'fast-check';
import { makeGguf } from '../../test/support/gguf.ts';
import { capabilitiesOf } from './capabilities.ts';
import { readGguf } from './gguf.ts';

const folder = mkdtempSync(join(tmpdir(), 'viaduct-gguf-'));
after(() => rmSync(folder, { recursive: true, force: true }));

function write(bytes: Buffer): string {
  const path = join(folder, `${Math.random()}.gguf`);
  writeFileSync(path, bytes);
  return path;
}

const tokens = (length: number) => Array.from({ length }, (_, index) => `token-${index}`);

test('a header larger than one read, with a long vocabulary', async () => {
  const path = write(
    makeGguf({
      metadata: {
        'tokenizer.ggml.tokens': [...tokens(200_000), '<|fim_prefix|>', '<|fim_middle|>', '<|fim_suffix|>'],
        'general.tags': ['a', 'b'],
      },
    }),
  );
  const info = await readGguf(path);
  assert.equal(info.architecture, 'llama');
  assert.equal(info.contextLength, 2048);
  assert.equal(info.keyLength, 16);
  assert.equal(info.quantization, 'F32');
  assert.equal(info.parameterCount, 1024);
  assert.deepEqual(info.middleMarks, { prefix: '<|fim_prefix|>', suffix: '<|fim_suffix|>', middle: '<|fim_middle|>' });
  assert.equal(info.metadata['tokenizer.ggml.tokens'], null);
  assert.deepEqual(info.metadata['general.tags'], ['a', 'b']);
  const { metadata } = await readGguf(path, { arrays: true });
  assert.equal((metadata['tokenizer.ggml.tokens'] as string[]).length, 200_003);
});

test('what a model can do', async () => {
  const able = async (
    architecture: string,
    metadata: Record<string, number | string | boolean | string[]>,
    projector = false,
  ) => capabilitiesOf(await readGguf(write(makeGguf({ architecture, metadata }))), undefined, projector);
  assert.deepEqual(await able('llama', {}), ['completion']);
  assert.deepEqual(await able('bert', { 'bert.pooling_type': 1 }), ['embedding']);
  assert.deepEqual(await able('bert', { 'bert.pooling_type': 4 }), ['rerank']);
  assert.deepEqual(
    await able('qwen2', { 'tokenizer.chat_template': '{% if tools %}{{ enable_thinking }}{% endif %}' }, true),
    ['completion', 'vision', 'tools', 'thinking'],
  );
});

const real = join(import.meta.dirname, '../../../shared/models/all-minilm-l6-v2-q8_0.gguf');
test('real weights', { skip: !existsSync(real) }, async () => {
  const info = await readGguf(real);
  assert.equal(info.architecture, 'bert');
  assert.equal(info.embeddingLength, 384);
  assert.equal(info.contextLength, 512);
  assert.equal(info.quantization, 'Q8_0');
});

test('a file that is damaged says so and is named', async () => {
  const whole = makeGguf();
  const cases: [Buffer, RegExp][] = [
    [Buffer.alloc(0), /ends within its header/],
    [Buffer.from('GGUF'), /ends within its header/],
    [Buffer.from('<html>nothing</html>'), /does not begin with "GGUF"/],
    [whole.subarray(0, 100), /ends within its header/],
    [whole.subarray(0, whole.length - 1), /cut short/],
    [Buffer.concat([Buffer.from('GGUF'), Buffer.from([1, 0, 0, 0]), Buffer.alloc(100)]), /version 1/],
  ];
  for (const [bytes, message] of cases) {
    const path = write(Buffer.from(bytes));
    await assert.rejects(readGguf(path), (error: Error & { code: string }) => {
      assert.equal(error.code, 'model_load_failed');
      assert.match(error.message, message);
      assert.ok(error.message.includes(path));
      return true;
    });
  }
  await assert.rejects(readGguf(join(folder, 'missing.gguf')), { code: 'model_load_failed' });
});

test('no damage to a header is anything but a clear error', async () => {
  const whole = makeGguf({ weightBytes: 64 });
  const damage = fc.array(fc.tuple(fc.nat({ max: whole.length - 1 }), fc.nat({ max: 255 })), {
    minLength: 1,
    maxLength: 6,
  });
  const path = join(folder, 'fuzzed.gguf');
  await fc.assert(
    fc.asyncProperty(damage, async (changes) => {
      const bytes = Buffer.from(whole);
      for (const [at, value] of changes) bytes[at] = value;
      writeFileSync(path, bytes);
      await readGguf(path).catch((error) => assert.equal(error.code, 'model_load_failed', error.stack));
    }),
    { numRuns: 300 },
  );
});
