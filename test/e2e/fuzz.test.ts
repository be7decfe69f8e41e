/**
 * Made-up requests for every endpoint of /openapi.json, right and wrong ones, against the real server: nothing breaks,
 * and each refusal is in the shape of its door. FUZZ_EXAMPLES says how many per endpoint, FUZZ_SEED repeats a run.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { runCommand, virtualEnvironment } from '../support/python.ts';
import { startTestServer, type TestServer } from '../support/server.ts';

const examples = process.env['FUZZ_EXAMPLES'] ?? '4';
const seed = process.env['FUZZ_SEED'];
const adminKey = 'fuzz-admin-key-0123456789';
/** These would ask registries that are not ours. */
const elsewhere = '^/api/(pull|push)$';

let server: TestServer;
const folder = mkdtempSync(join(tmpdir(), 'viaduct-fuzz-'));

before(async () => {
  server = await startTestServer({
    models: ['smollm2:135m', 'all-minilm'],
    config: 'providers: { gone: { kind: openai-compatible, base_url: "http://127.0.0.1:9/v1" } }',
    env: { VIADUCT_ADMIN_KEY: adminKey },
  });
  const description = await fetch(`${server.url}/openapi.json`);
  writeFileSync(join(folder, 'openapi.json'), await description.text());
});
after(async () => {
  await server?.close();
  rmSync(folder, { recursive: true, force: true });
});

/** Schemathesis on the paths that match. https://schemathesis.readthedocs.io/en/stable/reference/cli/ */
async function fuzz(paths: string) {
  const python = await virtualEnvironment('schemathesis', ['schemathesis'], [['schemathesis']]);
  const { code, stdout, stderr } = await runCommand(
    join(dirname(python), 'schemathesis'),
    [
      ...['--no-color', 'run', join(folder, 'openapi.json'), '--url', server.url],
      ...['--header', `Authorization: Bearer ${adminKey}`],
      ...['--include-path-regex', paths, '--exclude-path-regex', elsewhere],
      ...['--checks', 'fails_as_promised', '--phases', 'coverage,fuzzing', '--max-examples', examples],
      ...['--suppress-health-check', 'all', '--continue-on-failure', '--warnings', 'off', '--no-shrink'],
      ...(seed === undefined ? [] : ['--seed', seed]),
    ],
    {
      ...process.env,
      PYTHONPATH: join(import.meta.dirname, '../support'),
      PYTHONDONTWRITEBYTECODE: '1',
      SCHEMATHESIS_HOOKS: 'fuzz_checks',
      FUZZ_MODEL: 'smollm2:135m',
      FUZZ_EMBEDDER: 'all-minilm',
    },
  );
  assert.equal(code, 0, stdout.slice(-10_000) + stderr);
  assert.match(stdout, /No issues found/);
  assert.equal(server.process.exitCode, null);
  assert.doesNotMatch(server.log(), /internal_error|runner_crashed|model_load_failed|engine_unavailable/);
}

test('the doors of models and providers', () => fuzz('^/(?!admin/)'));

// Last: it makes keys and budgets that the other doors would stop at.
test('the door of administration', () => fuzz('^/admin/'));
