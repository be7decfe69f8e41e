import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { modelSettings } from '../config/models.ts';
import type { ModelInfo, Provider } from '../core/provider.ts';
import type { Prices } from './contract.ts';
import type { Needs } from './needs.ts';
import type { Wish } from './route/order.ts';
import { preferencesOf } from './route/preferences.ts';
import { createRouter } from './route.ts';

const provider = (name: string, more: Partial<Provider> = {}): Provider => ({
  name,
  kind: name,
  relays: () => false,
  ...more,
});
const known = (models: Record<string, Partial<ModelInfo>>) => (id: string) =>
  id in models ? { id, ...models[id] } : undefined;

const local = provider('local', {
  describe: known({ 'qwen3:8b': { contextLength: 8000, capabilities: ['completion'] } }),
  models: async () => [{ id: 'qwen3:8b' }],
});
const all = [local, provider('openai'), provider('anthropic'), provider('openrouter'), provider('gpu-box')];

const costs: Record<string, number> = { 'openai/big': 10, 'openai/small': 1, 'anthropic/mid': 3 };
const prices: Prices = {
  cost: () => 0,
  price: ({ provider: name, model }) => {
    const cost = costs[`${name}/${model}`];
    return cost === undefined ? undefined : { input: cost, output: cost };
  },
  machinePrice: ({ kind }) => (kind === 'local' ? { input: 0.25, output: 2.5 } : undefined),
};
const noNeeds: Needs = { tools: false, images: false, jsonSchema: false, inputTokens: 10, maxTokens: undefined };
const plain: Wish = { tags: undefined, privacy: undefined, providers: undefined, needs: noNeeds };

function router(models: Record<string, unknown> = {}, providers = all, random: () => number = () => 0) {
  return createRouter({
    providers: new Map(providers.map((each) => [each.name, each])),
    models: Object.fromEntries(Object.entries(models).map(([name, given]) => [name, modelSettings.parse(given)])),
    prices,
    random,
    health: new Map(),
  });
}
async function order(settings: unknown, wish: Partial<Wish> = {}, random?: () => number, providers = all) {
  const made = router({ m: settings }, providers, random);
  const route = await made.resolve('m');
  return made.order('m', [route], { ...plain, ...wish }, 0).map(({ name }) => name);
}

test('a name is a route, provider/model, a local tag or a hosted name', async () => {
  const made = router({ fast: ['openai/small'], 'openai/aliased': ['anthropic/mid'] });
  const first = async (name: string) => (await made.resolve(name)).targets[0]?.name;
  assert.equal(await first('fast'), 'openai/small');
  assert.equal(await first('openai/aliased'), 'anthropic/mid');
  assert.equal(await first('openai/whatever'), 'openai/whatever');
  assert.equal(await first('qwen3:8b'), 'local/qwen3:8b');
  assert.equal(await first('local/qwen3:8b'), 'local/qwen3:8b');
  assert.equal(await first('gpt-5'), 'openai/gpt-5');
  assert.equal(await first('claude-haiku-4-5'), 'anthropic/claude-haiku-4-5');
});

test('a name that nobody serves says what would make it work', async () => {
  const made = router({ fast: ['gpu-box/x'] }, [local, provider('gpu-box')]);
  const message = (name: string) =>
    Promise.resolve(made.resolve(name)).then(
      () => assert.fail(),
      (error: Error) => error.message,
    );
  assert.match(
    await message('gpt-5'),
    /"gpt-5" is an OpenAI model and no provider of kind openai is configured.*OPENAI_API_KEY/,
  );
  assert.match(await message('claude-opus-4-1'), /Anthropic.*ANTHROPIC_API_KEY/);
  assert.match(await message('gemini-2.5-pro'), /Google.*GEMINI_API_KEY/);
  assert.match(await message('openai/gpt-5'), /OPENAI_API_KEY/);
  assert.match(await message('nothing:1b'), /Installed: qwen3:8b\..*viaduct pull nothing:1b/);
  assert.match(await message('local/nothing'), /viaduct pull nothing/);
  assert.match(await message('hf.co/author/thing'), /viaduct pull hf.co\/author\/thing/);
});

test('ordered keeps the order, cost puts the cheap first and the unknown last', async () => {
  const targets = ['openai/big', 'gpu-box/unknown', 'openai/small', 'anthropic/mid'];
  assert.deepEqual(await order({ targets }), targets);
  assert.deepEqual(await order({ targets, strategy: 'cost' }), [
    'openai/small',
    'anthropic/mid',
    'openai/big',
    'gpu-box/unknown',
  ]);
});

test('weighted draws by weight and never loses a target', async () => {
  const targets = [
    { to: 'openai/a', weight: 3 },
    { to: 'openai/b', weight: 1 },
    { to: 'openai/c', weight: 0 },
  ];
  let seed = 1;
  const random = () => {
    seed = (seed * 16807) % 2147483647;
    return seed / 2147483647;
  };
  const made = router({ m: { targets, strategy: 'weighted' } }, all, random);
  const route = await made.resolve('m');
  const first: Record<string, number> = {};
  for (let n = 0; n < 4000; n++) {
    const names = made.order('m', [route], plain, 0).map(({ name }) => name);
    assert.equal(new Set(names).size, 3);
    assert.equal(names[2], 'openai/c');
    first[names[0] ?? ''] = (first[names[0] ?? ''] ?? 0) + 1;
  }
  assert.ok(Math.abs((first['openai/a'] ?? 0) / 4000 - 0.75) < 0.03);
});

test('latency prefers the fastest and tries the unmeasured once', async () => {
  const made = router({ m: { targets: ['openai/a', 'openai/b'], strategy: 'latency' } });
  const route = await made.resolve('m');
  const [a, b] = route.targets;
  a?.health.begin(0);
  a?.health.succeeded(500);
  assert.equal(made.order('m', [route], plain, 0)[0], b);
  b?.health.begin(0);
  b?.health.succeeded(900);
  assert.equal(made.order('m', [route], plain, 0)[0], a);
});

test('least-busy counts what runs and what waits', async () => {
  const busy = provider('busy', { load: () => ({ queued: 2, expectedWaitMs: 10 }) });
  assert.deepEqual(
    await order({ targets: ['busy/x', 'openai/a'], strategy: 'least-busy' }, {}, undefined, [...all, busy]),
    ['openai/a', 'busy/x'],
  );
});

test('tags choose their targets; what no tag claims goes to the untagged', async () => {
  const settings = { targets: ['openai/a', { to: 'openai/b', tags: ['gold'] }] };
  assert.deepEqual(await order(settings, { tags: ['gold'] }), ['openai/b']);
  assert.deepEqual(await order(settings, { tags: ['other'] }), ['openai/a']);
  assert.deepEqual(await order(settings), ['openai/a']);
});

test('max_price leaves the dear and the unknown out', async () => {
  const targets = ['openai/big', 'gpu-box/unknown', 'openai/small'];
  assert.deepEqual(await order({ targets, max_price: { input: 5 } }), ['openai/small']);
  await assert.rejects(order({ targets: ['openai/big'], max_price: { output: 5 } }), {
    code: 'model_not_found',
    param: 'max_price',
  });
});

test('max_price counts a local model at what its machine costs', async () => {
  const targets = ['local/qwen3:8b', 'openai/small'];
  assert.deepEqual(await order({ targets, max_price: { output: 2 } }), ['openai/small']);
  assert.deepEqual(await order({ targets, max_price: { output: 3 } }), targets);
});

test('a request goes only to targets that can', async () => {
  const able = provider('able', {
    describe: known({
      eye: { capabilities: ['completion', 'vision'] },
      hand: { capabilities: ['completion', 'tools', 'json'] },
      long: { contextLength: 100_000 },
      short: { contextLength: 1000 },
    }),
  });
  const targets = ['able/eye', 'able/hand', 'able/short', 'able/long'];
  const with_ = (needs: Partial<Needs>) => order({ targets }, { needs: { ...noNeeds, ...needs } }, undefined, [able]);
  assert.deepEqual(await with_({ images: true }), ['able/eye', 'able/short', 'able/long']);
  assert.deepEqual(await with_({ tools: true }), ['able/hand', 'able/short', 'able/long']);
  assert.deepEqual(await with_({ jsonSchema: true }), ['able/hand', 'able/short', 'able/long']);
  assert.deepEqual(await with_({ inputTokens: 5000 }), ['able/eye', 'able/hand', 'able/long']);
});

test('privacy: route, key or header; nothing local left is a 403', async () => {
  const targets = ['openai/a', 'local/qwen3:8b'];
  assert.deepEqual(await order({ targets, privacy: 'local' }), ['local/qwen3:8b']);
  assert.deepEqual(await order({ targets }, { privacy: 'local' }), ['local/qwen3:8b']);
  await assert.rejects(order({ targets: ['openai/a'] }, { privacy: 'local' }), {
    code: 'privacy_restricted',
    status: 403,
  });
});

test('a key that may use some providers only', async () => {
  assert.deepEqual(await order({ targets: ['openai/a', 'anthropic/mid'] }, { providers: ['anthropic'] }), [
    'anthropic/mid',
  ]);
  await assert.rejects(order({ targets: ['openai/a'] }, { providers: ['anthropic'] }), { code: 'permission_denied' });
});

test('overflow puts a full local target behind the others', async () => {
  let queued = 0;
  let expectedWaitMs = 0;
  const full = provider('local', { describe: known({ m: {} }), load: () => ({ queued, expectedWaitMs }) });
  const settings = { targets: ['local/m', 'openai/a'], overflow: { queue: 2, wait: '1s' } };
  const now = () => order(settings, {}, undefined, [full, provider('openai')]);
  assert.deepEqual(await now(), ['local/m', 'openai/a']);
  queued = 2;
  assert.deepEqual(await now(), ['openai/a', 'local/m']);
  queued = 1;
  expectedWaitMs = 1500;
  assert.deepEqual(await now(), ['openai/a', 'local/m']);
});

test('canary takes its share first', async () => {
  const settings = { targets: ['openai/a'], canary: { to: 'openai/new', percent: 10 } };
  assert.deepEqual(await order(settings, {}, () => 0.05), ['openai/new', 'openai/a']);
  assert.deepEqual(await order(settings, {}, () => 0.5), ['openai/a']);
});

test('OpenRouter’s provider object', async () => {
  const targets = ['openai/big', 'anthropic/mid', 'openai/small'];
  const wish = (provider: object) => ({ preferences: preferencesOf({ provider } as never).preferences });
  assert.deepEqual(await order({ targets }, wish({ order: ['Anthropic'] })), [
    'anthropic/mid',
    'openai/big',
    'openai/small',
  ]);
  assert.deepEqual(await order({ targets }, wish({ only: ['anthropic'] })), ['anthropic/mid']);
  assert.deepEqual(await order({ targets }, wish({ ignore: ['openai'] })), ['anthropic/mid']);
  assert.deepEqual(await order({ targets }, wish({ sort: 'price' })), ['openai/small', 'anthropic/mid', 'openai/big']);
  assert.deepEqual(await order({ targets }, wish({ sort: { by: 'price', partition: 'model' } })), [
    'openai/small',
    'anthropic/mid',
    'openai/big',
  ]);
  const clouds = [provider('aws', { kind: 'bedrock' }), provider('Cloud', { kind: 'vertex' })];
  const cloud = (fields: object) => order({ targets: ['aws/m', 'Cloud/m'] }, wish(fields), undefined, clouds);
  assert.deepEqual(await cloud({ only: ['google-vertex/us-east5'] }), ['Cloud/m']);
  assert.deepEqual(await cloud({ order: ['cloud'] }), ['Cloud/m', 'aws/m']);
  assert.deepEqual(await cloud({ ignore: ['amazon-bedrock'] }), ['Cloud/m']);
  assert.deepEqual(await order({ targets }, wish({ max_price: { prompt: 2 } })), ['openai/small']);
  assert.deepEqual(await order({ targets }, wish({ allow_fallbacks: false })), ['openai/big']);
  assert.deepEqual(await order({ targets }, wish({ order: ['anthropic'], allow_fallbacks: false })), ['anthropic/mid']);
  await assert.rejects(order({ targets }, wish({ only: ['mistral'] })), { param: 'provider.only' });
});

test('sorted by speed as a client wishes, what has rested is tried again', async () => {
  const made = router({ m: ['openai/a', 'openai/b'] });
  const route = await made.resolve('m');
  const [a, b] = route.targets;
  a?.health.begin(0);
  a?.health.succeeded(500);
  b?.health.cool(0, 1000);
  const { preferences } = preferencesOf({ provider: { sort: 'latency' } });
  const first = (now: number) => made.order('m', [route], { ...plain, preferences }, now)[0];
  assert.equal(first(500), a);
  assert.equal(first(1500), b);
});

test('targets that rest come last, whatever the strategy', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom('ordered', 'weighted', 'latency', 'cost', 'least-busy'),
      fc.subarray([0, 1, 2]),
      async (strategy, failing) => {
        const made = router({ m: { targets: ['openai/a', 'openai/b', 'openai/c'], strategy } }, all, Math.random);
        const route = await made.resolve('m');
        for (const index of failing)
          for (let n = 0; n < 3; n++) {
            route.targets[index]?.health.begin(0);
            route.targets[index]?.health.failed(0);
          }
        const names = made.order('m', [route], plain, 1).map((target) => route.targets.indexOf(target));
        assert.deepEqual([...names].sort(), [0, 1, 2]);
        const firstResting = names.findIndex((index) => failing.includes(index));
        if (firstResting !== -1) assert.ok(names.slice(firstResting).every((index) => failing.includes(index)));
      },
    ),
  );
});
