import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bedrock } from './bedrock.ts';
import { vertex } from './vertex.ts';

const idsOf = async (provider: ReturnType<typeof bedrock.create>) => {
  const models = (await provider.models?.(AbortSignal.timeout(1000))) ?? [];
  return models.map(({ id }) => id);
};

test('Bedrock lists what the price list names, as the region’s inference profiles are called', async () => {
  const of = (region: string) => idsOf(bedrock.create('bedrock', bedrock.config.parse({ region, api_key: 'x' })));
  const european = await of('eu-central-1');
  assert.ok(european.includes('amazon.nova-lite-v1:0'));
  assert.ok(european.includes('eu.anthropic.claude-sonnet-4-5-20250929-v1:0'));
  assert.ok((await of('ap-northeast-1')).includes('apac.anthropic.claude-sonnet-4-20250514-v1:0'));
  assert.ok(!(await of('us-gov-west-1')).some((id) => id.startsWith('us.') || id.startsWith('regional.')));
});

test('Vertex lists Gemini and Claude, and nothing that is no more', async () => {
  const ids = await idsOf(vertex.create('vertex', vertex.config.parse({ project: 'p', api_key: 'x' })));
  assert.ok(ids.includes('gemini-2.5-pro') && ids.includes('claude-sonnet-4-5'));
  assert.ok(!ids.includes('gemini-2.5-flash-preview') && !ids.includes('gemini-pro'));
});
