/** The management routes, through Ollama's own client where it has them. */
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { Ollama } from 'ollama';
import { makeGguf } from '../../../test/support/gguf.ts';
import { startModelsApp } from '../../../test/support/models-app.ts';
import { makeModel, sha256, startFaultyRegistry } from '../../../test/support/registry.ts';

const root = mkdtempSync(join(tmpdir(), 'viaduct-management-'));
let app: Awaited<ReturnType<typeof startModelsApp>>;
let client: Ollama;

before(async () => {
  app = await startModelsApp([{ path: root, owner: 'viaduct' }]);
  client = new Ollama({ host: app.url });
});
after(async () => {
  await app.close();
  rmSync(root, { recursive: true, force: true });
});

const chatTemplate = '{% for message in messages %}{{ tools }}{{ message.content }}{% endfor %}';
const weights = makeGguf({ name: 'mine', metadata: { 'tokenizer.chat_template': chatTemplate } });
const projector = makeGguf({ name: 'eye', architecture: 'clip' });

async function upload(bytes: Buffer): Promise<string> {
  const digest = sha256(bytes);
  const response = await fetch(`${app.url}/api/blobs/${digest}`, { method: 'POST', body: new Uint8Array(bytes) });
  assert.equal(response.status, 201);
  return digest;
}

const post = async (path: string, body: object, method = 'POST') => {
  const response = await fetch(app.url + path, { method, body: JSON.stringify(body) });
  const text = await response.text();
  return {
    status: response.status,
    text,
    lines: text
      .trim()
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line)),
  };
};

test('create from uploaded files, with everything a Modelfile can say', async () => {
  const digest = await upload(weights);
  const eye = await upload(projector);
  assert.equal((await fetch(`${app.url}/api/blobs/${digest}`, { method: 'HEAD' })).status, 200);
  assert.equal((await fetch(`${app.url}/api/blobs/${sha256('no')}`, { method: 'HEAD' })).status, 404);
  const { status, lines } = await post('/api/create', {
    model: 'mine',
    files: { 'model.gguf': digest, 'mmproj.gguf': eye },
    system: 'Be brief.',
    parameters: { temperature: 0.5, stop: ['a', 'b'], num_ctx: 512 },
    license: ['MIT', 'and more'],
    messages: [{ role: 'user', content: 'hi' }],
  });
  assert.equal(status, 200);
  assert.deepEqual(lines.at(-1), { status: 'success' });

  const shown = await client.show({ model: 'mine' });
  assert.equal(shown.license, 'MIT\nand more');
  assert.equal(shown.system, 'Be brief.');
  assert.match(shown.parameters, /^temperature +0\.5$/m);
  assert.match(shown.parameters, /^stop +"b"$/m);
  assert.equal(shown.template, chatTemplate);
  assert.deepEqual(shown.capabilities, ['completion', 'vision', 'tools']);
  assert.deepEqual(shown.details, {
    parent_model: '',
    format: 'gguf',
    family: 'llama',
    families: ['llama', 'clip'],
    parameter_size: '1K',
    quantization_level: 'F32',
  });
  const info = shown.model_info as unknown as Record<string, unknown>;
  assert.equal(info['llama.context_length'], 2048);
  assert.equal(info['general.parameter_count'], 1024);
  assert.equal((shown.projector_info as unknown as Record<string, unknown>)['general.architecture'], 'clip');
  assert.match(shown.modelfile, /^FROM .*sha256-/m);
  assert.match(shown.modelfile, /^PARAMETER num_ctx 512$/m);
});

test('create from a model that is here; copy, list, delete', async () => {
  await client.create({ model: 'other:v1', from: 'mine', template: '{{ .Prompt }}', parameters: { num_ctx: 64 } });
  const shown = await client.show({ model: 'OTHER:V1' });
  assert.equal(shown.template, '{{ .Prompt }}');
  assert.equal(shown.details.parent_model, 'mine:latest');
  assert.match(shown.parameters, /^num_ctx +64$/m);
  assert.match(shown.parameters, /^temperature +0\.5$/m);
  const resolved = await app.models.resolve('other:v1');
  assert.equal(resolved.templateFromUser, true);
  assert.equal(resolved.messages[0]?.content, 'hi');

  await client.copy({ source: 'other:v1', destination: 'ns/third' });
  const { models } = await client.list();
  assert.deepEqual(models.map(({ name }) => name).sort(), ['mine:latest', 'ns/third:latest', 'other:v1']);
  const third = models.find(({ name }) => name === 'ns/third:latest');
  assert.match(third?.digest ?? '', /^[0-9a-f]{64}$/);
  assert.ok(!Number.isNaN(Date.parse(String(third?.modified_at))));

  await client.delete({ model: 'ns/third' });
  await client.delete({ model: 'other:v1' });
  await assert.rejects(client.delete({ model: 'other:v1' }), /Installed: mine:latest/);
  await client.show({ model: 'mine' });
});

test('pull: progress for those who stream, one word for those who do not', async () => {
  const model = makeModel();
  const registry = await startFaultyRegistry(model);
  const name = `${registry.host}/library/model`;
  try {
    const statuses: string[] = [];
    for await (const { status } of await client.pull({ model: name, stream: true })) statuses.push(status);
    assert.equal(statuses[0], 'pulling manifest');
    assert.equal(statuses.at(-1), 'success');
    assert.deepEqual((await post('/api/pull', { name, stream: false })).lines, [{ status: 'success' }]);
    const missing = `${registry.host}/library/model@${sha256('other')}`;
    const failed = await post('/api/pull', { model: missing });
    assert.equal(failed.status, 200);
    assert.match(failed.lines.at(-1).error, /another manifest/);
    assert.equal((await post('/api/pull', { model: missing, stream: false })).status, 502);
    await client.delete({ model: name });
  } finally {
    await registry.close();
  }
});

const bad: [title: string, path: string, body: object, status: number, error: RegExp][] = [
  ['a name with a way out', '/api/pull', { model: '../../x' }, 400, /not a model name/],
  ['no name', '/api/pull', {}, 400, /model/],
  ['a wrong type', '/api/pull', { model: 'x', stream: 'yes' }, 400, /stream/],
  ['an unknown model', '/api/show', { model: 'nope' }, 404, /viaduct pull nope:latest/],
  ['the old name of the field', '/api/show', { name: 'nope' }, 404, /nope/],
  ['copy of nothing', '/api/copy', { source: 'nope', destination: 'x' }, 404, /nope/],
  ['create of nothing', '/api/create', { model: 'x' }, 400, /from/],
  [
    'create with an unknown parameter',
    '/api/create',
    { model: 'x', from: 'mine', parameters: { warmth: 1 } },
    400,
    /warmth/,
  ],
  [
    'create with a template that is none',
    '/api/create',
    { model: 'x', from: 'mine', template: '{{ range }' },
    400,
    /TEMPLATE/,
  ],
  [
    'create with a blob that is not there',
    '/api/create',
    { model: 'x', files: { a: sha256('a') } },
    400,
    /Upload it first/,
  ],
  ['create with no digest', '/api/create', { model: 'x', files: { a: 'b' } }, 400, /64 hex/],
  [
    'create with safetensors',
    '/api/create',
    { model: 'x', files: { 'a.safetensors': sha256('a') } },
    501,
    /convert_hf_to_gguf/,
  ],
  [
    'create with another quantisation',
    '/api/create',
    { model: 'x', from: 'mine', quantize: 'q4_K_M' },
    501,
    /llama-quantize/,
  ],
  [
    'a Modelfile with a file of the server',
    '/api/create',
    { model: 'x', modelfile: 'FROM a\nADAPTER /etc/passwd' },
    400,
    /uploaded/,
  ],
];
for (const [title, path, body, status, error] of bad)
  test(`refused: ${title}`, async () => {
    const answer = await post(path, body);
    assert.equal(answer.status, status, answer.text);
    assert.match(answer.lines[0].error, error);
  });

test('a blob with other bytes than its digest says leaves nothing', async () => {
  const digest = sha256('right');
  const response = await fetch(`${app.url}/api/blobs/${digest}`, { method: 'POST', body: 'wrong' });
  assert.equal(response.status, 400);
  assert.equal((await fetch(`${app.url}/api/blobs/sha256:../../x`, { method: 'POST', body: 'x' })).status >= 400, true);
  assert.equal((await fetch(`${app.url}/api/blobs/nonsense`, { method: 'POST', body: 'x' })).status, 400);
  assert.ok(!readdirSync(join(root, 'blobs')).some((file) => file.startsWith('.upload')));
});

test('a corrupt GGUF file is named', async () => {
  const cut = weights.subarray(0, weights.length - 100);
  const digest = await upload(Buffer.from(cut));
  const { status, lines } = await post('/api/create', { model: 'x', files: { 'cut.gguf': digest }, stream: false });
  assert.equal(status, 400);
  assert.match(lines[0].error, /cut\.gguf.*cut short/);
  writeFileSync((await app.models.resolve('mine')).modelPath, 'GGUF');
  // The store keeps what it read: what is broken on disk shows when the model is asked for anew.
  assert.equal((await post('/api/show', { model: 'mine', verbose: true })).status, 500);
});

test('the version is one that clients of Ollama accept', async () => {
  const response = await fetch(`${app.url}/api/version`);
  assert.match(((await response.json()) as { version: string }).version, /^0\.\d+\.\d+$/);
});
