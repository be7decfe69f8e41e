import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseServerAddress, urlOf } from './server-address.ts';

// As Ollama's own table of OLLAMA_HOST has it.
const cases: Record<string, string | undefined> = {
  '': 'http://127.0.0.1:11434',
  '1.2.3.4': 'http://1.2.3.4:11434',
  ':1234': 'http://127.0.0.1:1234',
  'example.com': 'http://example.com:11434',
  'example.com:1234': 'http://example.com:1234',
  'example.com:1234/': 'http://example.com:1234',
  'http://example.com': 'http://example.com:80',
  'https://example.com': 'https://example.com:443',
  'https://example.com:8080/base/': 'https://example.com:8080/base',
  '::1': 'http://[::1]:11434',
  '[::1]': 'http://[::1]:11434',
  '[::1]:1234': 'http://[::1]:1234',
  '0.0.0.0:1234': 'http://127.0.0.1:1234',
  '[::]': 'http://[::1]:11434',
  ' "1.2.3.4" ': 'http://1.2.3.4:11434',
  'example.com:66000': undefined,
  'example.com:port': undefined,
  'ftp://example.com': undefined,
};

for (const [text, url] of Object.entries(cases))
  test(`"${text}" means ${url ?? 'nothing'}`, () => {
    const address = parseServerAddress(text);
    assert.equal(address && urlOf(address), url);
  });
