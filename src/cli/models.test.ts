/** The commands that manage models, against a real app with a store of its own. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { makeGguf } from '../../test/support/gguf.ts';
import { startModelsApp } from '../../test/support/models-app.ts';
import { listen, makeModel, startFaultyRegistry } from '../../test/support/registry.ts';
import { createClient } from './client.ts';
import { connect } from './connect.ts';
import { cp } from './cp.ts';
import { create } from './create.ts';
import type { Command, Io, Options } from './define.ts';
import { list } from './list.ts';
import { lock } from './lock.ts';
import { pull } from './pull.ts';
import { push } from './push.ts';
import { rm } from './rm.ts';
import { show } from './show.ts';

const folder = mkdtempSync(join(tmpdir(), 'viaduct-cli-'));
const start = process.cwd();
let app: Awaited<ReturnType<typeof startModelsApp>>;

before(async () => {
  app = await startModelsApp([{ path: join(folder, 'models'), owner: 'viaduct' }]);
  // viaduct.lock lies where the command runs.
  process.chdir(folder);
});
after(async () => {
  process.chdir(start);
  await app.close();
  rmSync(folder, { recursive: true, force: true });
});

async function run(command: Command, args: string[] = [], options: Options = {}) {
  const out: string[] = [];
  const notes: string[] = [];
  const io: Io = {
    out: (line) => out.push(line),
    write: (text) => out.push(text),
    note: (line) => notes.push(line),
    interactive: false,
    connect: async () => createClient(app.url),
  };
  await command.run?.(args, options, io);
  return { out, notes };
}

test('an empty store says how to begin', async () => {
  assert.deepEqual((await run(list)).out, ['No model is here yet. Pull one with: viaduct pull smollm2:135m']);
  await assert.rejects(run(pull), /viaduct pull smollm2:135m/);
});

test('create from a Modelfile beside its files, and show it', async () => {
  writeFileSync(join(folder, 'weights.gguf'), makeGguf({ name: 'mine' }));
  writeFileSync(join(folder, 'eye.gguf'), makeGguf({ architecture: 'clip' }));
  writeFileSync(
    join(folder, 'Modelfile'),
    'FROM ./weights.gguf\nFROM eye.gguf\nPARAMETER num_ctx 512\nSYSTEM """Be\nbrief"""\nTEMPLATE {{ .Prompt }}\nLICENSE MIT\n',
  );
  await run(create, ['mine']);
  assert.match((await run(list)).out.join('\n'), /^NAME +ID +SIZE +MODIFIED\nmine:latest +[0-9a-f]{12} /);
  const shown = (await run(show, ['mine'])).out.join('\n');
  for (const part of [
    /architecture +llama/,
    /context length +512/,
    /trained context +2048/,
    /vision/,
    /num_ctx +512/,
    /MIT/,
  ])
    assert.match(shown, part);
  assert.deepEqual((await run(show, ['mine'], { template: true })).out, ['{{ .Prompt }}']);
  assert.deepEqual((await run(show, ['mine'], { system: true })).out, ['Be\nbrief']);
  assert.equal(JSON.parse((await run(show, ['mine'], { json: true })).out[0] ?? '').system, 'Be\nbrief');
  // What show prints makes the same model.
  const [modelfile = ''] = (await run(show, ['mine'], { modelfile: true })).out;
  writeFileSync(join(folder, 'Again'), modelfile);
  await run(create, ['again'], { file: 'Again' });
  const models = JSON.parse((await run(list, [], { json: true })).out[0] ?? '') as { name: string; digest: string }[];
  assert.equal(
    models.find(({ name }) => name === 'again:latest')?.digest,
    models.find(({ name }) => name === 'mine:latest')?.digest,
  );
});

test('create from a GGUF file, from a model, and pull of a file', async () => {
  await run(create, ['plain'], { file: 'weights.gguf' });
  writeFileSync(join(folder, 'Over'), 'FROM plain\nPARAMETER temperature 0\n');
  await run(create, ['over'], { file: 'Over' });
  assert.deepEqual((await run(show, ['over'], { parameters: true })).out, ['temperature                    0']);
  await run(pull, ['./weights.gguf']);
  await run(show, ['weights']);
});

test('create: what is wrong is said', async () => {
  await assert.rejects(run(create, ['x'], { file: 'nowhere' }), /no Modelfile at nowhere/);
  await assert.rejects(run(create, ['x'], { file: 'nowhere.gguf' }), /no file nowhere\.gguf/);
  writeFileSync(join(folder, 'Missing'), 'FROM ./gone.gguf\n');
  await assert.rejects(run(create, ['x'], { file: 'Missing' }), /gone\.gguf: there is no such file/);
  writeFileSync(join(folder, 'Two'), 'FROM plain\nFROM over\n');
  await assert.rejects(run(create, ['x'], { file: 'Two' }), /two models/);
  writeFileSync(join(folder, 'model.safetensors'), 'x');
  const weights = mkdtempSync(join(folder, 'tensors-'));
  writeFileSync(join(weights, 'model.safetensors'), 'x');
  writeFileSync(join(folder, 'Tensors'), `FROM ${weights}\n`);
  await assert.rejects(run(create, ['x'], { file: 'Tensors' }), /convert_hf_to_gguf/);
  writeFileSync(join(folder, 'cut.gguf'), readFileSync(join(folder, 'weights.gguf')).subarray(0, 500));
  await assert.rejects(run(create, ['x'], { file: 'cut.gguf' }), /cut\.gguf/);
});

test('cp and rm', async () => {
  await run(cp, ['plain', 'other']);
  await run(rm, ['other', 'over']);
  await assert.rejects(run(rm, ['other']), /Installed: /);
});

test('pull, lock, pull --frozen', async () => {
  const first = makeModel();
  const registry = await startFaultyRegistry(first);
  const name = `${registry.host}/library/model`;
  try {
    const { notes } = await run(pull, [name]);
    assert.ok(notes.includes('pulling manifest') && notes.includes('success'));
    await run(lock, [name]);
    const shown = `${name}:latest`;
    assert.deepEqual(JSON.parse(readFileSync('viaduct.lock', 'utf8')), {
      version: 1,
      models: { [shown]: first.digest },
    });

    await run(rm, [name]);
    await run(pull, [], { frozen: true });
    await run(pull, [name], { frozen: true });
    await assert.rejects(run(pull, ['plain'], { frozen: true }), /not in viaduct\.lock/);

    await run(rm, [name]);
    registry.model = makeModel();
    await assert.rejects(run(pull, [], { frozen: true }), /another manifest/);
    await run(lock, ['plain']);
    assert.equal(Object.keys(JSON.parse(readFileSync('viaduct.lock', 'utf8')).models).length, 2);
    await assert.rejects(run(lock, ['nothing']), /not here/);

    const { out } = await run(pull, [name], { json: true });
    assert.deepEqual(JSON.parse(out.at(-1) ?? ''), { status: 'success' });
    await assert.rejects(run(push, [`${registry.host}/library/none`]), /no model/);
  } finally {
    await registry.close();
  }
  writeFileSync('viaduct.lock', '{}');
  await assert.rejects(run(pull, [], { frozen: true }), /not a lock file/);
  rmSync('viaduct.lock');
  await assert.rejects(run(pull, [], { frozen: true }), /viaduct lock/);
});

test('which server a command talks to', async () => {
  let started = 0;
  const startServer = async () => {
    started += 1;
    return { url: app.url, close: async () => {} };
  };
  const running = await connect({ env: { OLLAMA_HOST: app.url }, startServer });
  assert.equal(running.url, app.url);
  assert.equal(started, 0);
  await connect({ env: { VIADUCT_HOST: '127.0.0.1:1', OLLAMA_HOST: app.url }, startServer });
  assert.equal(started, 1, 'where none runs on this machine, the command serves itself');
  await assert.rejects(connect({ env: { VIADUCT_HOST: 'no such host' }, startServer }), /is not an address/);
  await assert.rejects(connect({ env: { VIADUCT_HOST: 'nowhere.invalid' }, startServer }), /viaduct serve/);
  const stranger = createServer((_request, response) => response.end('hello'));
  const host = await listen(stranger);
  await assert.rejects(connect({ env: { VIADUCT_HOST: host }, startServer }), /no Viaduct/);
  stranger.close();
});
