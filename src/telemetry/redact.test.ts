import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { redact, redactText } from './redact.ts';

const secrets = [
  'vd-AbCdEfGhIjKlMnOpQrStUvWxYz0123456789-_abcde',
  'sk-proj-AbCdEfGhIjKlMnOpQrStUvWx',
  'sk-ant-api03-AbCdEfGhIjKlMnOpQrStUvWx',
  'sk-or-v1-0123456789abcdef0123456789abcdef',
  'gsk_AbCdEfGhIjKlMnOpQrStUvWx',
  'xai-AbCdEfGhIjKlMnOpQrStUvWx',
  'hf_AbCdEfGhIjKlMnOpQrStUvWx',
  'AIzaSyA0123456789abcdefghijklmnopqrstuv',
  'AKIAABCDEFGHIJKLMNOP',
  'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U',
];

test('no known shape of a secret survives, wherever it stands', () => {
  fc.assert(
    fc.property(fc.constantFrom(...secrets), fc.string(), fc.string(), (secret, before, after) => {
      const clean = redactText(`${before} ${secret} ${after}`);
      assert.ok(!clean.includes(secret));
    }),
  );
});

test('addresses and queries keep their shape and lose their secret', () => {
  assert.equal(redactText('postgres://viaduct:pass word@db:5432/x'), 'postgres://viaduct:pass word@db:5432/x');
  assert.equal(redactText('postgres://viaduct:hunter2@db:5432/x'), 'postgres://[redacted]@db:5432/x');
  assert.equal(redactText('redis://:hunter2@cache/0'), 'redis://[redacted]@cache/0');
  assert.equal(redactText('GET https://g/v1?key=abc&alt=sse'), 'GET https://g/v1?key=[redacted]&alt=sse');
  assert.equal(redactText('authorization: Bearer abcdefghijk'), 'authorization: Bearer [redacted]');
  assert.equal(redactText('nothing to hide: sk-short, eyJ'), 'nothing to hide: sk-short, eyJ');
});

test('secret fields are masked whatever they hold; errors and their causes are kept', () => {
  assert.deepEqual(
    redact({
      providers: { openai: { api_key: 'short', base_url: 'http://x' } },
      headers: { Authorization: 'anything', 'x-tenant': 'plain' },
      auth: { secret: 'abc', mode: 'auto' },
      api_key: null,
    }),
    {
      providers: { openai: { api_key: '[redacted]', base_url: 'http://x' } },
      headers: { Authorization: '[redacted]', 'x-tenant': '[redacted]' },
      auth: { secret: '[redacted]', mode: 'auto' },
      api_key: null,
    },
  );
  const clean = redact(new Error(`bad key ${secrets[0]}`, { cause: new Error(`also ${secrets[1]}`) }));
  const text = JSON.stringify(clean);
  assert.match(text, /bad key vd-\[redacted\].*also sk-\[redacted\]/s);
});

test('a value that holds itself comes to an end', () => {
  const value: Record<string, unknown> = {};
  value['self'] = value;
  assert.ok(JSON.stringify(redact(value)).length < 500);
});
