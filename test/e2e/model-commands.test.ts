/** The program itself, as a person runs it: no server, a server, exit codes, one clear line on failure, kill -9. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { makeModel, serveBlob, startFaultyRegistry } from '../support/registry.ts';

const home = mkdtempSync(join(tmpdir(), 'viaduct-commands-'));
after(() => rmSync(home, { recursive: true, force: true }));

const main = join(import.meta.dirname, '../../src/main.ts');

function start(args: string[]): {
  child: ChildProcess;
  ended: Promise<{ code: number | null; out: string; err: string }>;
} {
  const { PATH, HOME } = process.env;
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', main, ...args], {
    cwd: home,
    // An address where nobody listens, so that each command serves itself.
    // And no engine: what is pulled here are no models that one could run.
    env: { PATH, HOME, VIADUCT_HOME: join(home, 'v'), VIADUCT_HOST: '127.0.0.1:1', VIADUCT_ENGINE: home },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let out = '';
  let err = '';
  child.stdout.on('data', (chunk) => {
    out += chunk;
  });
  child.stderr.on('data', (chunk) => {
    err += chunk;
  });
  return { child, ended: new Promise((resolve) => child.on('close', (code) => resolve({ code, out, err }))) };
}
const viaduct = (...args: string[]) => start(args).ended;

test('failure is one clear line and exit code 1', async () => {
  for (const [args, message] of [
    [['show', 'nope'], /^Error: model not found: There is no model "nope:latest".*viaduct pull nope:latest\n$/],
    [['pull', '../../x'], /^Error: "\.\.\/\.\.\/x" is not a model name.*\n$/],
    [['pull', '--frozen'], /^Error: There is no viaduct\.lock.*\n$/],
    [['rm', 'nope'], /^Error: model not found: There is no model/],
  ] as const) {
    const { code, out, err } = await viaduct(...args);
    assert.equal(code, 1, args.join(' '));
    assert.equal(out, '');
    assert.match(err, message);
  }
  assert.notEqual((await viaduct('nonsense')).code, 0);
  assert.notEqual((await viaduct('show')).code, 0);
  const help = await viaduct('pull', '--help');
  assert.equal(help.code, 0);
  assert.match(help.out, /--frozen/);
});

test('a pull that is killed with -9 goes on with the next command', async () => {
  const model = makeModel(8 * 2 ** 20);
  const registry = await startFaultyRegistry(model, {
    async blob(request, response, blob) {
      await serveBlob(request, response, blob, { pause: 5 });
      return true;
    },
  });
  try {
    const name = `${registry.host}/library/model`;
    const { child, ended } = start(['pull', name]);
    while (registry.sent() < 4 * 2 ** 20 && child.exitCode === null) await sleep(5);
    child.kill('SIGKILL');
    await ended;
    assert.deepEqual(JSON.parse((await viaduct('list', '--json')).out), []);

    const before = registry.sent();
    const { code, err } = await viaduct('pull', name);
    assert.equal(code, 0, err);
    assert.match(err, /success/);
    assert.ok(registry.sent() - before < 6 * 2 ** 20, `${registry.sent() - before} bytes again`);
    const [listed] = JSON.parse((await viaduct('ls', '--json')).out);
    assert.equal(listed.digest, model.digest.slice('sha256:'.length));
    assert.equal((await viaduct('rm', name)).code, 0);
  } finally {
    await registry.close();
  }
});

test('run brings a model of any registry here first, and says what a hosted one lacks', async () => {
  const registry = await startFaultyRegistry(makeModel());
  try {
    const name = `${registry.host}/library/model`;
    const { err } = await viaduct('run', name, 'Hello');
    assert.match(err, /^Pulling .*\nPulled\.\n/);
    assert.deepEqual(
      JSON.parse((await viaduct('ls', '--json')).out).map((model: { name: string }) => model.name),
      [`${name}:latest`],
    );
    assert.equal((await viaduct('rm', name)).code, 0);
  } finally {
    await registry.close();
  }
  for (const hosted of ['gpt-5', 'openai/gpt-5']) {
    const { code, err } = await viaduct('run', hosted, 'Hello');
    assert.equal(code, 1);
    assert.match(err, /^Error: There is no model "[\w/-]+"\. "gpt-5" is an OpenAI model.*viaduct\.yaml.*\n$/);
  }
});
