/** What /openapi.json can say depends on what endpoints name: none may take a body that it does not describe. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { defaultDoors } from './app.ts';

/** POSTs without a body. */
const bare = ['/v1/responses/:id/cancel'];

test('every endpoint that takes a body names what checks it', () => {
  const endpoints = defaultDoors.flatMap((door) => door.endpoints);
  const silent = endpoints.filter(
    ({ method, path, body, rawBody }) => /^(POST|PUT|PATCH)$/.test(method) && !body && !rawBody && !bare.includes(path),
  );
  assert.deepEqual(
    silent.map(({ method, path }) => `${method} ${path}`),
    [],
  );
});
