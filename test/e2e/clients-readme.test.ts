/** The examples of README.md, word for word but for the server's address. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { runPython } from '../support/python.ts';
import { startTestServer, type TestServer } from '../support/server.ts';

const root = join(import.meta.dirname, '../..');
const readme = readFileSync(join(root, 'README.md'), 'utf8');
const written = 'http://localhost:11434/v1/';
let server: TestServer;

before(async () => {
  server = await startTestServer({ models: ['smollm2:135m'] });
});
after(() => server?.close());

/** The code block of a language, with this server's address in it. */
function example(language: string): string {
  const [, indent = '', code = ''] = new RegExp(`^( *)\`\`\`${language}\\n(.*?)^ *\`\`\``, 'ms').exec(readme) ?? [];
  assert.ok(code.includes(written), `README.md has no ${language} example that names ${written}`);
  return code.replaceAll(new RegExp(`^${indent}`, 'gm'), '').replace(written, `${server.url}/v1/`);
}

test('Python', async () => {
  const { code, stdout, stderr } = await runPython(example('python'));
  assert.equal(code, 0, stderr);
  assert.ok(stdout.trim());
});

test('Node', async () => {
  const child = spawn(process.execPath, ['--input-type=module-typescript', '--eval', example('ts')], { cwd: root });
  let said = '';
  let failed = '';
  child.stdout.on('data', (chunk) => {
    said += chunk;
  });
  child.stderr.on('data', (chunk) => {
    failed += chunk;
  });
  const code = await new Promise((resolve) => child.on('close', resolve));
  assert.equal(code, 0, failed);
  assert.ok(said.trim() && said.trim() !== 'undefined');
});
