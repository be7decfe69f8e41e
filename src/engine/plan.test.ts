import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { GgufInfo } from '../models/gguf.ts';
import { modelMemory } from './memory.ts';
import { checkContext, engineFlags, type PlanRequest, planLoad } from './plan.ts';

const gib = 2 ** 30;

/** The shape of an 8-billion-parameter Llama 3: 128 KiB of cache for each token. */
const llama: GgufInfo = {
  architecture: 'llama',
  contextLength: 131_072,
  embeddingLength: 4096,
  blockCount: 32,
  headCount: 32,
  headCountKv: 8,
  keyLength: 128,
  valueLength: 128,
  vocabularySize: 128_256,
  parameterCount: 8e9,
  quantization: 'Q4_K_M',
  fileSize: 4.9 * gib,
  metadata: {},
  tensors: [],
};

const request = (changes: Partial<PlanRequest>): PlanRequest => ({
  purpose: 'chat',
  memory: modelMemory(llama, 0),
  trained: 131_072,
  available: 24 * gib,
  ...changes,
});

test('the cache is two 16-bit vectors a layer and token', () => {
  assert.equal(modelMemory(llama, 0).cache(1), 32 * 8 * (128 + 128) * 2);
  const encoder = { ...llama, architecture: 'bert', metadata: { 'bert.attention.causal': false } };
  assert.equal(modelMemory(encoder, 0).cache(512), 0);
  const windowed = { ...llama, architecture: 'gemma3', metadata: { 'gemma3.attention.sliding_window': 512 } };
  assert.ok(modelMemory(windowed, 0).cache(32_768) < modelMemory(llama, 0).cache(32_768) / 4);
});

test('the whole trained context where memory allows, with slots while they are cheap', () => {
  assert.equal(planLoad(request({ available: 256 * gib }))?.parallel, 4);
  const tight = planLoad(request({ available: 30 * gib }));
  assert.deepEqual([tight?.contextLength, tight?.parallel], [131_072, 1]);
});

test('the context is halved only when memory forces it', () => {
  assert.equal(planLoad(request({ available: 16 * gib }))?.contextLength, 65_536);
  assert.equal(planLoad(request({ available: 6.1 * gib }))?.contextLength, 2048);
  assert.equal(planLoad(request({ available: 4 * gib })), undefined);
});

test('an asked context is kept exactly or not at all', () => {
  assert.equal(planLoad(request({ context: 5000 }))?.contextLength, 5000);
  assert.equal(planLoad(request({ context: 131_072, available: 16 * gib })), undefined);
  assert.equal(
    planLoad(request({ context: 1_000_000, trained: 8192 }))?.contextLength,
    8192,
    'never beyond the trained',
  );
});

test('configured slots are kept, at the cost of context', () => {
  const plan = planLoad(request({ parallel: 8 }));
  assert.equal(plan?.parallel, 8);
  assert.equal(plan?.contextLength, 16_384);
});

test('whatever is planned fits', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 600 }),
      fc.option(fc.integer({ min: 2, max: 200_000 }), { nil: undefined }),
      fc.option(fc.integer({ min: 1, max: 32 }), { nil: undefined }),
      (gigabytes, context, parallel) => {
        const available = gigabytes * gib;
        const plan = planLoad(request({ available, context, parallel }));
        if (!plan) return;
        assert.ok(plan.bytes < available);
        assert.ok(plan.contextLength <= 131_072);
        if (context) assert.equal(plan.contextLength, Math.min(context, 131_072));
      },
    ),
  );
});

test('a context without room for prompt and answer is refused', () => {
  for (const wrong of [0, 1, -1, 2.5, Number.NaN])
    assert.throws(() => checkContext(wrong), { code: 'invalid_request', param: 'options.num_ctx' });
  checkContext(2);
});

test('the engine is given the context of all slots, in its own steps', () => {
  const plan = { purpose: 'chat' as const, contextLength: 1000, parallel: 4, bytes: 0, weights: 0, promptCache: 0 };
  const engine = { from: 'installed' as const, cpuOnly: true };
  const files = { modelPath: '/m.gguf', adapterPaths: ['/a.gguf'], gguf: llama };
  const flags = engineFlags(files, plan, engine).join(' ');
  assert.match(flags, /--ctx-size 4096 --parallel 4/);
  assert.match(flags, /--lora \/a\.gguf/);
  const embedding = engineFlags(files, { ...plan, purpose: 'embedding' }, engine).join(' ');
  assert.match(embedding, /--embeddings --pooling last/);
});
