/** What a registry can do to a puller. Each case ends with a whole model, or with a clear error and the store as it was. */
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  type Faults,
  type FaultyRegistry,
  listen,
  makeModel,
  rangeOf,
  serveBlob,
  sha256,
  startFaultyRegistry,
  type TestModel,
  withManifest,
} from '../../test/support/registry.ts';
import { ViaductError } from '../core/errors.ts';
import { parseName } from './names.ts';
import { type PullOptions, type PullProgress, pullModel } from './pull.ts';
import { createModelStore, type ModelStore } from './store.ts';

const folder = mkdtempSync(join(tmpdir(), 'viaduct-pull-'));
after(() => rmSync(folder, { recursive: true, force: true }));

const settings = { stall: 1000, backoff: 20, tries: 4, longestWait: 3000 };

type Setup = {
  store: ModelStore;
  root: string;
  registry: FaultyRegistry;
  name: string;
  pull: (o?: PullOptions) => Promise<unknown>;
};

async function withRegistry(model: TestModel, faults: Faults, work: (setup: Setup) => Promise<void>) {
  const registry = await startFaultyRegistry(model, faults);
  const root = mkdtempSync(join(folder, 'store-'));
  const store = createModelStore({ roots: [{ path: root, owner: 'viaduct' }] });
  const name = `${registry.host}/library/model:latest`;
  try {
    await work({ store, root, registry, name, pull: (options) => pullModel(store, name, { settings, ...options }) });
  } finally {
    await registry.close();
  }
}

/** It works all the same, and costs at most `times` the bytes. */
function works(title: string, faults: Faults, { size = 300_000, times = 1.2 } = {}) {
  test(title, async () => {
    const model = makeModel(size);
    await withRegistry(model, faults, async ({ store, registry, name, pull, root }) => {
      await pull();
      await assertWhole(store, name, model);
      const total = model.blobs.reduce((sum, blob) => sum + blob.size, 0);
      assert.ok(registry.sent() <= times * total + 1, `${registry.sent()} bytes were sent for ${total}`);
      assert.deepEqual(leftovers(root), []);
    });
  });
}

/** A clear error, and nothing of it in the store. */
function fails(
  title: string,
  model: TestModel,
  faults: Faults,
  code: string,
  message: RegExp,
  options: PullOptions = {},
) {
  test(title, async () => {
    await withRegistry(model, faults, async ({ store, pull, root }) => {
      await assert.rejects(pull(options), (error: unknown) => {
        assert.ok(error instanceof ViaductError, String(error));
        assert.equal(error.code, code, error.message);
        assert.match(error.message, message);
        return true;
      });
      assert.deepEqual(await store.list(), []);
      assert.deepEqual(blobNames(root), []);
    });
  });
}

async function assertWhole(store: ModelStore, name: string, model: TestModel) {
  const [listed, ...more] = await store.list();
  assert.equal(more.length, 0);
  assert.equal(listed?.digest, model.digest);
  const resolved = await store.resolve(name);
  assert.deepEqual(resolved.params, { stop: ['<end>'], num_ctx: 64 });
  assert.equal(resolved.template, '{{ .System }} {{ .Prompt }}');
}

const files = (root: string): string[] => {
  try {
    return readdirSync(join(root, 'blobs'));
  } catch {
    return [];
  }
};
const blobNames = (root: string) => files(root).filter((file) => /^sha256-[0-9a-f]{64}$/.test(file));
const leftovers = (root: string) => files(root).filter((file) => !/^sha256-[0-9a-f]{64}$/.test(file));

const big = 40 * 2 ** 20;
const isWeights = (blob: { mediaType: string }) => blob.mediaType.endsWith('.model');

works('a registry that behaves', {});
works('a big file comes in ranges', {}, { size: big });
works('the manifest is refused once for being busy', {
  manifest(_request, response, attempt) {
    if (attempt > 1) return false;
    response.writeHead(429, { 'retry-after': '1' }).end();
    return true;
  },
});
works('the manifest fails twice with 503', {
  manifest(_request, response, attempt) {
    if (attempt > 2) return false;
    response.writeHead(503).end('busy');
    return true;
  },
});
works('the connection breaks once before the manifest', {
  manifest(_request, response, attempt) {
    if (attempt === 1) response.destroy();
    return attempt === 1;
  },
});
works('a blob is refused once for being busy', {
  blob(_request, response, _blob, attempt) {
    if (attempt > 1) return false;
    response.writeHead(429, { 'retry-after': '1' }).end();
    return true;
  },
});
works(
  'HEAD is refused',
  {
    blob(request, response) {
      if (request.method === 'HEAD') response.writeHead(405).end();
      return request.method === 'HEAD';
    },
  },
  { size: big },
);
works(
  'Range is ignored',
  {
    async blob(request, response, blob) {
      delete request.headers.range;
      await serveBlob(request, response, blob);
      return true;
    },
  },
  { size: big },
);
works(
  'Range is answered with another range',
  {
    async blob(request, response, blob) {
      const range = rangeOf(request, blob.size);
      if (!range) return false;
      response.writeHead(206, { 'content-range': `bytes 7-${range.end - 1}/${blob.size}` });
      response.end(Buffer.alloc(100));
      return true;
    },
  },
  { size: big },
);
works(
  'Range is refused with 416',
  {
    blob(request, response) {
      if (!request.headers.range) return false;
      response.writeHead(416).end();
      return true;
    },
  },
  { size: big },
);
works(
  'the connection resets every few megabytes',
  {
    async blob(request, response, blob) {
      await serveBlob(request, response, blob, { resetAfter: 3 * 2 ** 20 });
      return true;
    },
  },
  { size: big },
);
works(
  'no Content-Length',
  {
    async blob(request, response, blob) {
      const range = rangeOf(request, blob.size);
      if (range) return false;
      response.write(blob.bytes.subarray(0, 1000));
      await sleep(20);
      response.end(blob.bytes.subarray(1000));
      return true;
    },
  },
  { size: 300_000 },
);
works('Content-Length is larger than what comes', {
  async blob(request, response, blob) {
    if (rangeOf(request, blob.size)) return false;
    response.writeHead(200, { 'content-length': blob.size + 10 });
    response.write(blob.bytes);
    await sleep(50);
    response.destroy();
    return true;
  },
});
works('Content-Length is smaller than the file', {
  blob(request, response, blob) {
    if (!isWeights(blob) || rangeOf(request, blob.size)) return false;
    response.writeHead(200, { 'content-length': 1000 });
    response.end(blob.bytes.subarray(0, 1000));
    return true;
  },
});
works(
  'one connection stalls in the middle',
  {
    async blob(_request, response, blob, attempt) {
      if (!isWeights(blob) || attempt > 1) return false;
      response.writeHead(200, { 'content-length': blob.size });
      response.write(blob.bytes.subarray(0, 100_000));
      return true;
    },
  },
  { size: 300_000 },
);

/** A registry whose blobs lie on another host; `target` serves them there. */
async function withStorage(
  target: (request: IncomingMessage, response: ServerResponse, model: TestModel) => unknown,
  model: TestModel,
  work: (faults: Faults, seen: IncomingHttpHeaders[]) => Promise<void>,
) {
  const seen: IncomingHttpHeaders[] = [];
  const server = createServer((request, response) => {
    seen.push(request.headers);
    Promise.resolve(target(request, response, model)).catch(() => response.destroy());
  });
  // Another host name than the registry's: what belongs to one must not reach the other.
  const host = (await listen(server)).replace('127.0.0.1', 'localhost');
  try {
    await work(
      {
        blob(request, response) {
          response.writeHead(307, { location: `http://${host}/${request.url?.split('/').at(-1)}` }).end();
          return true;
        },
      },
      seen,
    );
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

const blobAt = (url: string | undefined, model: TestModel) => {
  const found = model.blobs.find(({ digest }) => url?.includes(digest));
  if (!found) throw new Error(`no blob at ${url}`);
  return found;
};

test('a redirect that runs out in mid-download is asked for again', async () => {
  const model = makeModel(big);
  // By the end of the range: counted all together, several at once could leave all refusals to one of them.
  const served = new Map<string | undefined, number>();
  const target = async (request: IncomingMessage, response: ServerResponse) => {
    const segment = request.headers.range?.split('-').at(-1);
    const times = (served.get(segment) ?? 0) + 1;
    served.set(segment, times);
    if (times % 3 === 2) return response.writeHead(403).end('expired');
    return serveBlob(request, response, blobAt(request.url, model), { resetAfter: 4 * 2 ** 20 });
  };
  await withStorage(target, model, (faults) =>
    withRegistry(model, faults, async ({ store, name, pull }) => {
      await pull();
      await assertWhole(store, name, model);
    }),
  );
});

test('a login stays with the registry, also when it sends us to another host for the bytes', async () => {
  const model = makeModel();
  const tokens = createServer((request, response) => {
    assert.match(request.url ?? '', /service=test&scope=repository%3Alibrary%2Fmodel%3Apull/);
    response.end(JSON.stringify({ token: 'secret-token' }));
  });
  const realm = await listen(tokens);
  const target = (request: IncomingMessage, response: ServerResponse) =>
    serveBlob(request, response, blobAt(request.url, model));
  await withStorage(target, model, async (faults, seen) => {
    const challenge = (request: IncomingMessage, response: ServerResponse) => {
      if (request.headers.authorization === 'Bearer secret-token') return false;
      response
        .writeHead(401, {
          'www-authenticate': `Bearer realm="http://${realm}/token",service="test",scope="repository:library/model:pull"`,
        })
        .end();
      return true;
    };
    const guarded: Faults = {
      manifest: (request, response) => challenge(request, response),
      blob: (request, response, blob, attempt) =>
        challenge(request, response) || (faults.blob?.(request, response, blob, attempt) ?? false),
    };
    await withRegistry(model, guarded, async ({ store, name, pull }) => {
      await pull();
      await assertWhole(store, name, model);
    });
    assert.ok(seen.length >= model.blobs.length);
    for (const headers of seen) assert.equal(headers.authorization, undefined);
  });
  tokens.close();
});

const answer = (body: string | Buffer, type = 'application/json', status = 200): Faults => ({
  manifest(_request, response) {
    response.writeHead(status, { 'content-type': type }).end(body);
    return true;
  },
});

fails(
  'the manifest is a web page',
  makeModel(),
  answer('<html>hello</html>', 'text/html'),
  'registry_invalid_response',
  /web page/,
);
fails('the manifest is bad JSON', makeModel(), answer('{"schemaVersion":2,'), 'registry_invalid_response', /JSON/);
fails('the manifest is something else', makeModel(), answer('[1,2]'), 'registry_invalid_response', /manifest/);
fails(
  'the manifest is an image index',
  makeModel(),
  answer('{"schemaVersion":2,"manifests":[]}'),
  'registry_invalid_response',
  /image index/,
);
fails(
  'the manifest does not exist',
  makeModel(),
  answer('{}', 'application/json', 404),
  'model_not_found',
  /has no model/,
);
fails('the manifest needs a login', makeModel(), answer('{}', 'application/json', 401), 'permission_denied', /login/);
fails(
  'the registry keeps failing',
  makeModel(),
  answer('{}', 'application/json', 500),
  'registry_unavailable',
  /status 500/,
);
fails(
  'the registry asks to wait for an hour',
  makeModel(),
  {
    manifest(_request, response) {
      response.writeHead(429, { 'retry-after': '3600' }).end();
      return true;
    },
  },
  'rate_limit_exceeded',
  /3600 s/,
);
fails('the manifest hangs', makeModel(), { manifest: () => true }, 'registry_unavailable', /hangs/);
fails(
  'the manifest trickles for ever',
  makeModel(),
  {
    manifest(_request, response) {
      const timer = setInterval(() => response.write(' '), 100);
      response.on('close', () => clearInterval(timer));
      return true;
    },
  },
  'registry_unavailable',
  /hangs/,
);
fails(
  'the manifest has 200 MB',
  makeModel(),
  {
    async manifest(_request, response) {
      for (let sent = 0; sent < 200 && !response.destroyed; sent += 1) {
        response.write(Buffer.alloc(2 ** 20, 32));
        await sleep(1);
      }
      response.end();
      return true;
    },
  },
  'registry_invalid_response',
  /more than/,
);
const changed = (change: Parameters<typeof withManifest>[1]) => withManifest(makeModel(), change);
type Loose = { layers: { digest: string; size: number }[] };
fails(
  'a digest is no digest',
  changed((manifest) => {
    const [layer] = (manifest as unknown as Loose).layers;
    if (layer) layer.digest = 'sha256:../../../etc/passwd';
  }),
  {},
  'registry_invalid_response',
  /64 hex/,
);
fails(
  'a layer is declared larger than the disk',
  changed((manifest) => {
    const [layer] = (manifest as unknown as Loose).layers;
    if (layer) layer.size = 2 ** 52;
  }),
  {},
  'disk_full',
  /free/,
);
fails(
  'a layer is shorter than declared',
  changed((manifest) => {
    const [layer] = (manifest as unknown as Loose).layers;
    if (layer) layer.size += 1000;
  }),
  {},
  'registry_invalid_response',
  /promised/,
);
fails(
  'a layer is longer than declared',
  changed((manifest) => {
    const [layer] = (manifest as unknown as Loose).layers;
    if (layer) layer.size -= 1000;
  }),
  {},
  'registry_invalid_response',
  /sends more/,
);
fails(
  'the bytes are others than promised',
  makeModel(),
  {
    async blob(request, response, blob) {
      await serveBlob(request, response, { ...blob, bytes: Buffer.alloc(blob.size) });
      return true;
    },
  },
  'digest_mismatch',
  /expected sha256/,
);
test('a blob that is always cut short ends in an error, and the next pull goes on from there', async () => {
  const model = makeModel(500_000);
  let broken = true;
  const faults: Faults = {
    blob(request, response, blob) {
      if (!broken || !isWeights(blob)) return false;
      const { start } = rangeOf(request, blob.size) ?? { start: 0 };
      if (start >= 200_000) {
        response.destroy();
        return true;
      }
      response.writeHead(start > 0 ? 206 : 200, {
        'content-length': blob.size - start,
        ...(start > 0 && { 'content-range': `bytes ${start}-${blob.size - 1}/${blob.size}` }),
      });
      response.write(blob.bytes.subarray(start, 200_000), () => setTimeout(() => response.destroy(), 50));
      return true;
    },
  };
  await withRegistry(model, faults, async ({ store, registry, name, pull }) => {
    await assert.rejects(pull(), { code: 'registry_unavailable' });
    assert.deepEqual(await store.list(), []);
    broken = false;
    const before = registry.sent();
    await pull();
    await assertWhole(store, name, model);
    assert.ok(registry.sent() - before < 310_000, `${registry.sent() - before} bytes again`);
  });
});

test('a broken progress file counts as none', async () => {
  const model = makeModel(500_000);
  await withRegistry(model, {}, async ({ store, root, name, pull }) => {
    const path = await store.newBlobPath(model.weights.digest);
    assert.ok(path.startsWith(root));
    for (const text of [
      '',
      '{"size":',
      '{"size":500000,"validator":"","segments":[]}',
      '{"segments":[{"start":-1}]}',
    ]) {
      writeFileSync(`${path}.partial`, Buffer.alloc(100_000));
      writeFileSync(`${path}.partial.json`, text);
      await pull();
      await assertWhole(store, name, model);
      await store.remove(parseName(name));
    }
  });
});

test('a partial whose digest fails is dropped, and the next pull is right', async () => {
  const model = makeModel(500_000);
  await withRegistry(model, {}, async ({ store, name, pull }) => {
    const path = await store.newBlobPath(model.weights.digest);
    const { size, digest } = model.weights;
    writeFileSync(`${path}.partial`, Buffer.alloc(size));
    const segments = [{ start: 0, end: size, done: 100_000 }];
    writeFileSync(`${path}.partial.json`, JSON.stringify({ size, validator: digest, segments }));
    await assert.rejects(pull(), { code: 'digest_mismatch' });
    await pull();
    await assertWhole(store, name, model);
  });
});

test('a tag that moves between two pulls never mixes old and new', async () => {
  const first = makeModel();
  const second = makeModel();
  await withRegistry(first, {}, async ({ store, root, registry, name, pull }) => {
    await pull();
    registry.model = second;
    await pull();
    await assertWhole(store, name, second);
    const wanted = second.blobs.map(({ digest }) => digest.replace(':', '-')).sort();
    assert.deepEqual(blobNames(root).sort(), wanted);
  });
});

test('pullers of one model share its bytes; the last to leave stops them', async () => {
  const model = makeModel(3_000_000);
  const slow: Faults = {
    async blob(request, response, blob) {
      await serveBlob(request, response, blob, { piece: 20_000, pause: 10 });
      return true;
    },
  };
  await withRegistry(model, slow, async ({ store, name, pull, registry }) => {
    const leaver = new AbortController();
    const left = pull({ signal: leaver.signal });
    const stays = Promise.all([pull(), pull()]);
    await sleep(300);
    leaver.abort(new Error('gone'));
    await assert.rejects(left, /gone/);
    await stays;
    await assertWhole(store, name, model);
    const total = model.blobs.reduce((sum, blob) => sum + blob.size, 0);
    assert.ok(registry.sent() <= total * 1.05, `${registry.sent()} of ${total}`);
  });
  await withRegistry(makeModel(3_000_000), slow, async ({ pull, registry }) => {
    const leavers = [new AbortController(), new AbortController()];
    const pulls = leavers.map(({ signal }) => pull({ signal }));
    for (const promise of pulls) promise.catch(() => {});
    await sleep(300);
    assert.ok(registry.active() > 0);
    for (const leaver of leavers) leaver.abort(new Error('gone'));
    await Promise.allSettled(pulls);
    for (let waited = 0; registry.active() > 0 && waited < 2000; waited += 50) await sleep(50);
    assert.equal(registry.active(), 0);
  });
});

test('what a pull reports is what Ollama reports', async () => {
  const model = makeModel();
  await withRegistry(model, {}, async ({ pull }) => {
    const events: PullProgress[] = [];
    await pull({ onProgress: (event: PullProgress) => events.push(event) });
    assert.deepEqual(events[0], { status: 'pulling manifest' });
    assert.deepEqual(events.at(-1), { status: 'success' });
    const statuses = [...new Set(events.map(({ status }) => status))];
    assert.ok(statuses.includes('verifying sha256 digest') && statuses.includes('writing manifest'));
    const { digest, size } = model.weights;
    const weights = events.filter((event) => event.digest === digest);
    assert.equal(weights[0]?.status, `pulling ${digest.slice(7, 19)}`);
    assert.equal(weights.at(-1)?.completed, size);
    for (const { total } of weights) assert.equal(total, size);
  });
});

test('exact weights are asked for by digest', async () => {
  const model = makeModel();
  await withRegistry(model, {}, async ({ store, name, registry }) => {
    const wrong = sha256('something else');
    await assert.rejects(pullModel(store, `${name}@${wrong}`, { settings }), { code: 'digest_mismatch' });
    await pullModel(store, `${name}@${model.digest}`, { settings });
    const asked = registry.requests.length;
    await pullModel(store, `${name}@${model.digest}`, { settings });
    assert.equal(registry.requests.length, asked, 'what is here is not asked for again');
    assert.equal((await store.resolve(`${name}@${model.weights.digest}`)).digest, model.digest);
    await assert.rejects(store.resolve(`${name}@${wrong}`), { code: 'model_not_found' });
  });
});

test('plain http to another machine needs --insecure', async () => {
  const store = createModelStore({ roots: [{ path: mkdtempSync(join(folder, 'store-')), owner: 'viaduct' }] });
  await assert.rejects(pullModel(store, 'http://registry.example.com/library/x', { settings }), {
    code: 'invalid_request',
    message: /--insecure/,
  });
});

test('nobody listens', async () => {
  const store = createModelStore({ roots: [{ path: mkdtempSync(join(folder, 'store-')), owner: 'viaduct' }] });
  await assert.rejects(pullModel(store, '127.0.0.1:1/library/x', { settings }), {
    code: 'registry_unavailable',
    message: /nothing listens/,
  });
});
