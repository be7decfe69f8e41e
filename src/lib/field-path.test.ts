import assert from 'node:assert/strict';
import { test } from 'node:test';
import { dottedPath, fieldPath } from './field-path.ts';

test('a path is written as OpenAI writes it, and as Anthropic does', () => {
  const param = fieldPath(['messages', 0, 'content', 2, 'image_url', 'url']);
  assert.equal(param, 'messages[0].content[2].image_url.url');
  assert.equal(dottedPath(param), 'messages.0.content.2.image_url.url');
  assert.equal(fieldPath([]), '');
  assert.equal(dottedPath('messages.0.content'), 'messages.0.content');
});
