import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { displayName, nameKey, parseName } from './names.ts';

const digest = `sha256:${'0a'.repeat(32)}`;

const valid: [text: string, host: string, namespace: string, model: string, tag: string, shown: string][] = [
  ['smollm2', 'registry.ollama.ai', 'library', 'smollm2', 'latest', 'smollm2:latest'],
  ['smollm2:135m', 'registry.ollama.ai', 'library', 'smollm2', '135m', 'smollm2:135m'],
  ['team/model:v1.0', 'registry.ollama.ai', 'team', 'model', 'v1.0', 'team/model:v1.0'],
  ['localhost:5000/library/x', 'localhost:5000', 'library', 'x', 'latest', 'localhost:5000/library/x:latest'],
  ['http://localhost:5000/a/b:c', 'localhost:5000', 'a', 'b', 'c', 'localhost:5000/a/b:c'],
  ['hf.co/Org/Repo-GGUF:Q4_K_M', 'hf.co', 'Org', 'Repo-GGUF', 'Q4_K_M', 'hf.co/Org/Repo-GGUF:Q4_K_M'],
  ['registry.ollama.ai/library/x', 'registry.ollama.ai', 'library', 'x', 'latest', 'x:latest'],
  [`x:1@${digest}`, 'registry.ollama.ai', 'library', 'x', '1', 'x:1'],
  ['_x', 'registry.ollama.ai', 'library', '_x', 'latest', '_x:latest'],
];
for (const [text, host, namespace, model, tag, shown] of valid)
  test(`${text} is a name`, () => {
    const name = parseName(text);
    assert.deepEqual([name.host, name.namespace, name.model, name.tag], [host, namespace, model, tag]);
    assert.equal(displayName(name), shown);
    assert.equal(nameKey(parseName(displayName(name))), nameKey(name));
  });

const invalid = [
  '',
  ' ',
  '../../x',
  '..',
  'x:..',
  '/x',
  'x/',
  'a/b/c/d',
  'a//b',
  'x:',
  ':x',
  'x y',
  'x\u0000y',
  'x\ny',
  '-x',
  '.x',
  'a.b/c',
  `x@${digest}x`,
  'x@sha256:12',
  `x@${digest}@${digest}`,
  'x'.repeat(81),
  'http://x',
  'C:\\x',
  '%2e%2e/x',
];
for (const text of invalid)
  test(`${JSON.stringify(text)} is no name`, () => {
    assert.throws(() => parseName(text), { code: 'invalid_model_name', param: 'model' });
  });

test('no text gives a part that leads out of a folder', () => {
  const texts = fc.oneof(fc.string(), fc.stringMatching(/^[./\\:@a-z-]{0,20}$/));
  fc.assert(
    fc.property(texts, (text) => {
      try {
        const { host, namespace, model, tag } = parseName(text);
        for (const part of [host, namespace, model, tag]) assert.match(part, /^[a-z0-9_][\w.:-]*$/i);
      } catch (error) {
        assert.equal((error as { code: string }).code, 'invalid_model_name');
      }
    }),
  );
});
