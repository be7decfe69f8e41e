/** Registries for tests: a real one, and one that misbehaves on purpose. */
import { type ChildProcess, spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { type AddressInfo, createServer as createTcpServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { makeGguf } from './gguf.ts';

export const sha256 = (bytes: Buffer | string) => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;

export type TestBlob = { mediaType: string; digest: string; size: number; bytes: Buffer };

const blob = (mediaType: string, bytes: Buffer): TestBlob => ({
  mediaType,
  digest: sha256(bytes),
  size: bytes.length,
  bytes,
});

export type TestModel = { manifest: Buffer; digest: string; blobs: TestBlob[]; weights: TestBlob };

/** A small but whole model in Ollama's media types: weights of about `size` random bytes. */
export function makeModel(size = 300_000, seed = randomBytes(8).toString('hex')): TestModel {
  const weights = blob('application/vnd.ollama.image.model', makeGguf({ weightBytes: size, name: seed }));
  const params = blob('application/vnd.ollama.image.params', Buffer.from('{"stop":["<end>"],"num_ctx":64}'));
  const template = blob('application/vnd.ollama.image.template', Buffer.from('{{ .System }} {{ .Prompt }}'));
  const license = blob('application/vnd.ollama.image.license', Buffer.from(`Licence of ${seed}`));
  const config = blob(
    'application/vnd.docker.container.image.v1+json',
    Buffer.from(
      JSON.stringify({
        model_format: 'gguf',
        model_family: 'llama',
        model_families: ['llama'],
        model_type: '1M',
        file_type: 'F32',
      }),
    ),
  );
  const entry = ({ mediaType, digest, size: length }: TestBlob) => ({ mediaType, digest, size: length });
  const manifest = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: 'application/vnd.docker.distribution.manifest.v2+json',
      config: entry(config),
      layers: [weights, params, template, license].map(entry),
    }),
  );
  return { manifest, digest: sha256(manifest), blobs: [weights, params, template, license, config], weights };
}

/** Change a manifest: what a registry may get wrong. */
export function withManifest(model: TestModel, change: (manifest: Record<string, never>) => void): TestModel {
  const manifest = JSON.parse(model.manifest.toString());
  change(manifest);
  return { ...model, manifest: Buffer.from(JSON.stringify(manifest)) };
}

export type FaultyRegistry = {
  /** `127.0.0.1:PORT`. */
  host: string;
  /** What is served now. */
  model: TestModel;
  /** Bytes of blobs that were written to sockets. */
  sent: () => number;
  requests: { method: string; url: string; headers: IncomingMessage['headers'] }[];
  /** Blob downloads that go on now. */
  active: () => number;
  close(): Promise<void>;
};

export type Faults = {
  /** Answers in place of the registry; false means "not this time". */
  manifest?: (request: IncomingMessage, response: ServerResponse, attempt: number) => boolean | Promise<boolean>;
  /** Answers a blob's request in place of `serveBlob`. */
  blob?: (
    request: IncomingMessage,
    response: ServerResponse,
    blob: TestBlob,
    attempt: number,
  ) => boolean | Promise<boolean>;
};

/** A registry on loopback that keeps to the protocol except where `faults` says otherwise. */
export async function startFaultyRegistry(model: TestModel, faults: Faults = {}): Promise<FaultyRegistry> {
  const registry = { model, requests: [] as FaultyRegistry['requests'] };
  const attempts = new Map<string, number>();
  let sent = 0;
  let active = 0;
  const serve = async (request: IncomingMessage, response: ServerResponse) => {
    const url = request.url ?? '';
    registry.requests.push({ method: request.method ?? '', url, headers: request.headers });
    const attempt = (attempts.get(url) ?? 0) + 1;
    attempts.set(url, attempt);
    count(response, (bytes) => {
      sent += bytes;
    });
    if (url.includes('/manifests/')) {
      if (await faults.manifest?.(request, response, attempt)) return;
      response.setHeader('content-type', 'application/vnd.docker.distribution.manifest.v2+json');
      response.end(registry.model.manifest);
      return;
    }
    const wanted = registry.model.blobs.find(({ digest }) => url.includes(digest));
    if (!wanted) {
      response.writeHead(404).end();
      return;
    }
    active += 1;
    response.on('close', () => {
      active -= 1;
    });
    if (await faults.blob?.(request, response, wanted, attempt)) return;
    await serveBlob(request, response, wanted);
  };
  const server = createServer((request, response) => {
    serve(request, response).catch(() => response.destroy());
  });
  const host = await listen(server);
  return Object.assign(registry, {
    host,
    sent: () => sent,
    active: () => active,
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  });
}

function count(response: ServerResponse, add: (bytes: number) => void) {
  const write = response.write.bind(response);
  response.write = ((chunk: Buffer, ...rest: never[]) => {
    if (Buffer.isBuffer(chunk)) add(chunk.length);
    return write(chunk, ...rest);
  }) as typeof response.write;
}

export async function listen(server: Server): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** The range of a request; undefined when there is none. `end` is exclusive. */
export function rangeOf({ headers }: IncomingMessage, size: number): { start: number; end: number } | undefined {
  const [, start, end] = /^bytes=(\d+)-(\d*)$/.exec(headers.range ?? '') ?? [];
  return start === undefined ? undefined : { start: Number(start), end: end ? Math.min(Number(end) + 1, size) : size };
}

/** Serve a blob as a good server does, in pieces; `pause` ms between them. */
export async function serveBlob(
  request: IncomingMessage,
  response: ServerResponse,
  { bytes }: TestBlob,
  {
    piece = 65_536,
    pause = 0,
    resetAfter = Number.POSITIVE_INFINITY,
  }: { piece?: number; pause?: number; resetAfter?: number } = {},
): Promise<void> {
  const range = rangeOf(request, bytes.length);
  const { start, end } = range ?? { start: 0, end: bytes.length };
  response.writeHead(range ? 206 : 200, {
    'content-length': end - start,
    ...(range && { 'content-range': `bytes ${start}-${end - 1}/${bytes.length}` }),
  });
  for (let at = start; at < end && !response.destroyed; at += piece) {
    if (at - start >= resetAfter) {
      await sleep(20);
      response.destroy();
      return;
    }
    const wrote = response.write(bytes.subarray(at, Math.min(at + piece, end)));
    if (!wrote)
      await new Promise<void>((resolve) => {
        const done = () => {
          response.off('drain', done);
          response.off('close', done);
          resolve();
        };
        response.on('drain', done);
        response.on('close', done);
      });
    if (pause > 0) await sleep(pause);
  }
  response.end();
}

export type RealRegistry = { host: string; process: ChildProcess; close(): Promise<void> };

/** Debian's docker-registry on a free loopback port, its data in a folder of its own. Undefined where it is not installed. */
export async function startRealRegistry(): Promise<RealRegistry | undefined> {
  const folder = mkdtempSync(join(tmpdir(), 'viaduct-registry-'));
  const probe = createTcpServer();
  await new Promise<void>((resolve) => probe.listen(0, '127.0.0.1', resolve));
  const { port } = probe.address() as AddressInfo;
  await new Promise((resolve) => probe.close(resolve));
  const host = `127.0.0.1:${port}`;
  const config = join(folder, 'config.yml');
  writeFileSync(
    config,
    `version: 0.1\nlog: { level: error }\nstorage: { filesystem: { rootdirectory: ${join(folder, 'data')} } }\nhttp: { addr: '${host}' }\n`,
  );
  const child = spawn('docker-registry', ['serve', config], { stdio: 'ignore' });
  const failed = new Promise<boolean>((resolve) => child.on('error', () => resolve(true)));
  const up = async () => {
    for (let tries = 0; tries < 200; tries += 1) {
      if (
        await fetch(`http://${host}/v2/`).then(
          ({ ok }) => ok,
          () => false,
        )
      )
        return false;
      await sleep(50);
    }
    return true;
  };
  const close = async () => {
    if (child.exitCode === null && child.pid !== undefined) {
      const gone = new Promise((resolve) => child.on('exit', resolve));
      child.kill('SIGKILL');
      await gone;
    }
    rmSync(folder, { recursive: true, force: true });
  };
  if (await Promise.race([failed, up()])) {
    await close();
    return undefined;
  }
  return { host, process: child, close };
}

/** Put a model into a registry over HTTP, as any OCI client would. */
export async function seedRegistry(host: string, repository: string, tag: string, model: TestModel): Promise<void> {
  for (const { digest, bytes } of model.blobs) {
    const started = await fetch(`http://${host}/v2/${repository}/blobs/uploads/`, { method: 'POST' });
    const location = new URL(started.headers.get('location') ?? '', `http://${host}`);
    location.searchParams.set('digest', digest);
    const done = await fetch(location, { method: 'PUT', body: new Uint8Array(bytes) });
    if (done.status !== 201) throw new Error(`upload of ${digest}: ${done.status}`);
  }
  const done = await fetch(`http://${host}/v2/${repository}/manifests/${tag}`, {
    method: 'PUT',
    headers: { 'content-type': 'application/vnd.docker.distribution.manifest.v2+json' },
    body: new Uint8Array(model.manifest),
  });
  if (done.status !== 201) throw new Error(`manifest: ${done.status} ${await done.text()}`);
}
