/** Hugging Face's layout and plain addresses, from servers on loopback. */
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { makeGguf } from '../../test/support/gguf.ts';
import { listen, serveBlob, sha256 } from '../../test/support/registry.ts';
import { pullModel } from './pull.ts';
import { nameFromUrl } from './sources/url.ts';
import { createModelStore } from './store.ts';

const folder = mkdtempSync(join(tmpdir(), 'viaduct-sources-'));
const servers: Server[] = [];
after(() => {
  for (const server of servers) {
    server.closeAllConnections();
    server.close();
  }
  rmSync(folder, { recursive: true, force: true });
});

async function serve(handler: (request: IncomingMessage, response: ServerResponse) => unknown): Promise<string> {
  const server = createServer((request, response) => {
    Promise.resolve(handler(request, response)).catch(() => response.destroy());
  });
  servers.push(server);
  return `http://${await listen(server)}`;
}

function newStore() {
  const root = mkdtempSync(join(folder, 'store-'));
  return { root, store: createModelStore({ roots: [{ path: root, owner: 'viaduct' }] }) };
}

const settings = { stall: 1000, backoff: 20, tries: 3 };
const asBlob = (bytes: Buffer) => ({ mediaType: '', digest: sha256(bytes), size: bytes.length, bytes });

const files: Record<string, Buffer> = {
  'README.md': Buffer.from('hello'),
  'Model-Q4_K_M.gguf': makeGguf({ name: 'q4' }),
  'Model-Q8_0.gguf': makeGguf({ name: 'q8' }),
  'Model-BF16-00001-of-00002.gguf': makeGguf({ name: 'shard' }),
  'mmproj-Model-f16.gguf': makeGguf({ name: 'eye', architecture: 'clip' }),
  params: Buffer.from('{"stop":["<end>"]}'),
  system: Buffer.from('Be nice.'),
};

type Seen = { url: string; authorization: string | undefined; host: string };

/** A hub with one repository; its big files lie on another host. `tree: false` leaves out the newer listing. */
async function startHub({ tree = true } = {}) {
  const seen: Seen[] = [];
  const note = ({ url = '', headers }: IncomingMessage) =>
    seen.push({ url, authorization: headers.authorization, host: headers.host ?? '' });
  const storage = (
    await serve((request, response) => {
      note(request);
      return serveBlob(request, response, asBlob(files[request.url?.slice(1) ?? ''] ?? Buffer.alloc(0)));
    })
  ).replace('127.0.0.1', 'localhost');
  const listed = Object.entries(files);
  const url = await serve((request, response) => {
    note(request);
    const path = request.url ?? '';
    if (tree && path.startsWith('/api/models/Org/Repo/tree/main'))
      return response.end(
        JSON.stringify(
          listed.map(([name, bytes]) => ({
            type: 'file',
            path: name,
            size: bytes.length,
            oid: 'f'.repeat(40),
            ...(name.endsWith('.gguf') && { lfs: { oid: sha256(bytes).slice(7), size: bytes.length } }),
          })),
        ),
      );
    if (path.startsWith('/api/models/Org/Repo?'))
      return response.end(
        JSON.stringify({
          siblings: listed.map(([rfilename, bytes]) => ({
            rfilename,
            size: bytes.length,
            ...(rfilename.endsWith('.gguf') && { lfs: { sha256: sha256(bytes).slice(7), size: bytes.length } }),
          })),
        }),
      );
    const file = /^\/Org\/Repo\/resolve\/main\/(.+)$/.exec(path)?.[1];
    const bytes = file === undefined ? undefined : files[file];
    if (!bytes) return response.writeHead(404).end();
    if (!file?.endsWith('.gguf')) return response.end(bytes);
    return response.writeHead(302, { location: `${storage}/${file}` }).end();
  });
  return { url, seen };
}

for (const tree of [true, false])
  test(`Hugging Face: the quantisation in the name, with its projector (${tree ? 'tree' : 'siblings'})`, async () => {
    const hub = await startHub({ tree });
    const { store } = newStore();
    const env = { HF_ENDPOINT: hub.url, HF_TOKEN: 'hf_secret' };
    await pullModel(store, 'hf.co/Org/Repo:q8_0', { env, settings });
    const model = await store.resolve('hf.co/org/repo:Q8_0');
    assert.equal(model.gguf.name, 'q8');
    assert.equal(model.projector?.name, 'eye');
    assert.deepEqual(model.params, { stop: ['<end>'] });
    assert.equal(model.system, 'Be nice.');
    assert.deepEqual(model.capabilities, ['completion', 'vision']);
    assert.ok(hub.seen.some(({ authorization }) => authorization === 'Bearer hf_secret'));
    for (const { authorization } of hub.seen.filter(({ host }) => host.startsWith('localhost')))
      assert.equal(authorization, undefined, 'the token stays with the hub');
  });

test('Hugging Face: without a tag the best known quantisation; what is missing is said', async () => {
  const hub = await startHub();
  const { store } = newStore();
  const env = { HF_ENDPOINT: hub.url };
  await pullModel(store, 'huggingface.co/Org/Repo', { env, settings });
  assert.equal((await store.resolve('huggingface.co/Org/Repo')).gguf.name, 'q4');
  await assert.rejects(pullModel(store, 'hf.co/Org/Repo:Q2_K', { env, settings }), {
    code: 'model_not_found',
    message: /Model-Q4_K_M, Model-Q8_0/,
  });
  await assert.rejects(pullModel(store, 'hf.co/Org/Repo:BF16', { env, settings }), { message: /several files/ });
  await assert.rejects(pullModel(store, 'hf.co/Org/None', { env, settings }), { code: 'model_not_found' });
});

test('an address: named after its file, its digest found on arrival', async () => {
  const bytes = makeGguf({ name: 'from-url', weightBytes: 100_000 });
  const url = await serve((request, response) => serveBlob(request, response, asBlob(bytes)));
  const { store } = newStore();
  const pulled = await pullModel(store, `${url}/files/My%20Model.Q4_0.gguf?download=true`, { settings });
  assert.equal(pulled.name, 'my-model.q4_0:latest');
  const model = await store.resolve('my-model.q4_0');
  assert.equal(model.gguf.name, 'from-url');
  assert.equal(model.manifest.layers[0]?.digest, sha256(bytes));
  const named = await pullModel(store, `${url}/x.gguf`, { settings, as: 'team/other:v2' });
  assert.equal(named.name, 'team/other:v2');
});

test('an address whose server does not say how long the file is', async () => {
  const bytes = makeGguf({ name: 'chunked', weightBytes: 200_000 });
  let attempts = 0;
  const url = await serve((_request, response) => {
    attempts += 1;
    if (attempts > 1) return response.end(bytes);
    response.write(bytes.subarray(0, 100_000), () => setTimeout(() => response.destroy(), 30));
    return undefined;
  });
  const { store } = newStore();
  await pullModel(store, `${url}/chunked.gguf`, { settings });
  assert.equal((await store.resolve('chunked')).gguf.name, 'chunked');
});

test('an address that is interrupted goes on only while the file is the same', async () => {
  const versions = [makeGguf({ name: 'old', weightBytes: 500_000 }), makeGguf({ name: 'new', weightBytes: 500_000 })];
  let version = 0;
  let broken = true;
  const url = await serve((request, response) => {
    response.setHeader('etag', `"v${version}"`);
    return serveBlob(request, response, asBlob(versions[version] ?? Buffer.alloc(0)), broken ? { resetAfter: 0 } : {});
  });
  const { store } = newStore();
  await assert.rejects(pullModel(store, `${url}/m.gguf`, { settings }), { code: 'registry_unavailable' });
  broken = false;
  version = 1;
  await pullModel(store, `${url}/m.gguf`, { settings });
  assert.equal((await store.resolve('m')).gguf.name, 'new');
});

test('an address that brings no GGUF file leaves nothing', async () => {
  const url = await serve((_request, response) => response.end('<html>not here</html>'));
  const { store, root } = newStore();
  await assert.rejects(pullModel(store, `${url}/m.gguf`, { settings }), { code: 'model_load_failed', message: /GGUF/ });
  assert.deepEqual(readdirSync(join(root, 'blobs')), []);
  assert.deepEqual(await store.list(), []);
});

test('names from addresses', () => {
  assert.equal(nameFromUrl('https://x/a/Qwen2.5-0.5B.Q4_K_M.gguf?x=1'), 'qwen2.5-0.5b.q4_k_m');
  assert.equal(nameFromUrl('https://x/..%2F..%2Fetc.gguf'), 'etc');
});
