/** The real engine, real weights. */
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { chmodSync, copyFileSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { testEngine, testModel } from '../../test/support/engine.ts';
import type { CallReport } from '../core/provider.ts';
import type { ResolvedModel } from '../models/store.ts';
import type { Engine } from './engine.ts';
import type { Runner } from './runner.ts';
import { createScheduler, type Scheduler, type SchedulerOptions } from './scheduler.ts';

let engine: Engine;
let smollm: ResolvedModel;
let folder: string;
const open: Scheduler[] = [];
const never = new AbortController().signal;

before(async () => {
  engine = await testEngine();
  smollm = await testModel('smollm2:135m');
  folder = mkdtempSync(join(tmpdir(), 'viaduct-scheduler-'));
});
after(async () => {
  await Promise.all(open.map((scheduler) => scheduler.close()));
  rmSync(folder, { recursive: true, force: true });
});

/** A small context, so that a load takes little time and memory. */
function schedulerOf(options: Partial<SchedulerOptions> = {}): Scheduler {
  const scheduler = createScheduler({ engine: async () => engine, context: 1024, parallel: 2, ...options });
  open.push(scheduler);
  return scheduler;
}

const named = (name: string): ResolvedModel => ({ ...smollm, name, digest: `sha256:${name}` });

const chat = (content: string, max_tokens = 2000) => ({
  messages: [{ role: 'user', content }],
  stream: true,
  return_progress: true,
  ignore_eos: true,
  max_tokens,
});

type Slot = { n_ctx: number; is_processing: boolean };

async function slotsOf(runner: Runner): Promise<Slot[]> {
  let text = '';
  for await (const chunk of (await runner.request('/slots', undefined)).body) text += chunk;
  return JSON.parse(text);
}

async function until(what: string, condition: () => boolean | Promise<boolean>, limitMs = 20_000) {
  const started = performance.now();
  while (!(await condition())) {
    assert.ok(performance.now() - started < limitMs, `${what} did not come about within ${limitMs} ms`);
    await sleep(25);
  }
}

/** Processes that run a model from this test's engine for that file. */
function runnersOf(path: string): number[] {
  const lines = execFileSync('ps', ['-eo', 'pid=,args='], { encoding: 'utf8' }).split('\n');
  return lines
    .filter((line) => line.includes(`--model ${path}`) && !line.includes('viaduct-guard'))
    .map((line) => Number.parseInt(line, 10));
}

test('concurrent first requests share one load; it is reported, listed and unloaded', async () => {
  const scheduler = schedulerOf();
  const reports: CallReport[] = [{}, {}];
  const leases = await Promise.all(reports.map((report) => scheduler.acquire(smollm, { signal: never, report })));
  assert.equal(leases[0]?.runner, leases[1]?.runner);
  for (const report of reports) {
    assert.ok((report.loadMs ?? 0) > 0);
    assert.equal(report.digest, smollm.digest);
  }
  assert.equal(leases[0]?.contextLength, 1024);
  const [line] = scheduler.loaded();
  assert.equal(line?.name, 'smollm2:135m');
  assert.equal(line?.busy, 2);
  assert.ok((line?.size ?? 0) > smollm.gguf.fileSize);
  assert.ok((line?.expiresAt ?? 0) > Date.now());
  const slots = leases[0] ? await slotsOf(leases[0].runner) : [];
  assert.deepEqual(
    slots.map(({ n_ctx }) => n_ctx),
    [1024, 1024],
  );
  assert.equal(scheduler.unload('smollm2:135m'), true);
  assert.equal(scheduler.loaded().length, 1, 'it stays while requests are at work');
  for (const lease of leases) lease.release();
  await until('unloading', () => scheduler.loaded().length === 0);
  assert.equal(scheduler.unload('smollm2:135m'), false);
  const warm: CallReport = {};
  const again = await scheduler.acquire(smollm, { signal: never, report: warm, keepAlive: 0 });
  again.release();
  await until('unloading at once', () => scheduler.loaded().length === 0);
});

test('an asked context is in force; nonsense is refused', async () => {
  const scheduler = schedulerOf();
  const lease = await scheduler.acquire(smollm, { signal: never, numCtx: 512 });
  assert.equal(lease.contextLength, 512);
  assert.ok((await slotsOf(lease.runner)).every(({ n_ctx }) => n_ctx === 512));
  const same = await scheduler.acquire(smollm, { signal: never, numCtx: 512 });
  assert.equal(same.runner, lease.runner);
  const fromFile = await scheduler.contextOf({ ...smollm, params: { num_ctx: 768 } });
  assert.equal(fromFile, 768);
  for (const numCtx of [0, 1, -5])
    await assert.rejects(scheduler.acquire(smollm, { signal: never, numCtx }), { code: 'invalid_request' });
  lease.release();
  same.release();
});

test('a client that leaves frees its slot, during the prompt and during the answer', async () => {
  const scheduler = schedulerOf({ context: 8192 });
  const lease = await scheduler.acquire(smollm, { signal: never });
  for (const [content, waitForText] of [
    ['Count to a thousand.', true],
    ['word and more of it '.repeat(1200), false],
  ] as const) {
    const leaving = new AbortController();
    const reply = await lease.runner.request('/v1/chat/completions', chat(content), leaving.signal);
    const events = reply.body[Symbol.asyncIterator]();
    const first = await events.next();
    assert.equal(String(first.value).includes('prompt_progress'), true, 'progress comes first');
    if (waitForText) for (let n = 0; n < 5; n++) await events.next();
    leaving.abort(new Error('the client left'));
    await assert.rejects(async () => {
      for (;;) if ((await events.next()).done) break;
    }, /the client left/);
    // 200 ms on an idle machine; a busy one may take longer for one step of the engine.
    await until('a free slot', async () => !(await slotsOf(lease.runner)).some((slot) => slot.is_processing), 5000);
  }
  lease.release();
});

test('kill -9 of a runner ends its requests at once; the next request gets a new one', async () => {
  const scheduler = schedulerOf();
  const lease = await scheduler.acquire(smollm, { signal: never });
  const reply = await lease.runner.request('/v1/chat/completions', chat('Count to a thousand.'), never);
  const events = reply.body[Symbol.asyncIterator]();
  for (let n = 0; n < 4; n++) await events.next();
  const pids = runnersOf(smollm.modelPath);
  assert.ok(pids.length > 0);
  for (const pid of pids) if (isChildOf(pid)) process.kill(pid, 'SIGKILL');
  await assert.rejects(
    async () => {
      for (;;) if ((await events.next()).done) break;
    },
    { code: 'runner_crashed' },
  );
  lease.release();
  await assert.rejects(lease.runner.request('/health', undefined), { code: 'runner_crashed' });
  const next = await scheduler.acquire(smollm, { signal: never });
  assert.equal((await next.runner.request('/health', undefined)).status, 200);
  next.release();
});

/** True for a runner that this process started: its parent's parent, past the guard. */
function isChildOf(pid: number): boolean {
  const parent = (child: number) =>
    Number(execFileSync('ps', ['-o', 'ppid=', '-p', String(child)], { encoding: 'utf8' }));
  return parent(parent(pid)) === process.pid;
}

test('a corrupt or truncated file is an error that names it, and nothing stays behind', async () => {
  const scheduler = schedulerOf();
  const corrupt = join(folder, 'corrupt.gguf');
  writeFileSync(corrupt, 'GGUF and then nothing of the kind'.repeat(100));
  const truncated = join(folder, 'truncated.gguf');
  copyFileSync(smollm.modelPath, truncated);
  chmodSync(truncated, 0o644);
  truncateSync(truncated, 40_000_000);
  for (const modelPath of [corrupt, truncated]) {
    const model = { ...named('broken'), modelPath };
    await assert.rejects(scheduler.acquire(model, { signal: never }), (error: Error & { code: string }) => {
      assert.equal(error.code, 'model_load_failed');
      assert.ok(error.message.includes(modelPath), error.message);
      return true;
    });
  }
  assert.deepEqual(scheduler.loaded(), []);
  const lease = await scheduler.acquire(smollm, { signal: never });
  lease.release();
});

test('max_loaded unloads the model that was used the longest ago, and waits for busy ones', async () => {
  const scheduler = schedulerOf({ maxLoaded: 2 });
  const names = () =>
    scheduler
      .loaded()
      .map(({ name }) => name)
      .sort();
  (await scheduler.acquire(named('a'), { signal: never })).release();
  (await scheduler.acquire(named('b'), { signal: never })).release();
  (await scheduler.acquire(named('a'), { signal: never })).release();
  const c = await scheduler.acquire(named('c'), { signal: never });
  assert.deepEqual(names(), ['a', 'c']);
  const a = await scheduler.acquire(named('a'), { signal: never });
  const waiting = scheduler.acquire(named('d'), { signal: never });
  assert.equal(await Promise.race([waiting.then(() => 'loaded'), sleep(300, 'waits')]), 'waits');
  c.release();
  (await waiting).release();
  assert.deepEqual(names(), ['a', 'd']);
  a.release();
});

test('what does not fit into memory is refused, and named', async () => {
  const scheduler = schedulerOf({ available: async () => 50_000_000 });
  await assert.rejects(scheduler.acquire(smollm, { signal: never }), { code: 'out_of_memory' });
  assert.deepEqual(scheduler.loaded(), []);
});

test('the line before a runner is bounded, and seen by load()', async () => {
  const scheduler = schedulerOf({ parallel: 1, maxQueue: 1 });
  const lease = await scheduler.acquire(smollm, { signal: never });
  const waiting = scheduler.acquire(smollm, { signal: never });
  await assert.rejects(scheduler.acquire(smollm, { signal: never }), { code: 'queue_full' });
  assert.equal(scheduler.load('smollm2:135m').queued, 1);
  const beside = await scheduler.acquire(smollm, { signal: never, slot: false });
  beside.release();
  lease.release();
  (await waiting).release();
});

test('a model that nobody uses is unloaded when its time is over', async () => {
  const scheduler = schedulerOf();
  (await scheduler.acquire(smollm, { signal: never, keepAlive: 1 })).release();
  assert.equal(scheduler.loaded().length, 1);
  await until('expiry', () => scheduler.loaded().length === 0);
});

test('other settings are in force from the next request on', async () => {
  const scheduler = schedulerOf({ keepAlive: 3600 });
  const ask = async () => {
    const lease = await scheduler.acquire(smollm, { signal: never });
    lease.release();
    return lease;
  };
  const first = await ask();
  scheduler.configure({ context: 512, parallel: 1, keepAlive: 0.2 });
  const second = await ask();
  assert.notEqual(second.runner, first.runner);
  assert.equal(second.contextLength, 512);
  assert.equal((await slotsOf((await scheduler.acquire(smollm, { signal: never })).runner)).length, 1);
});

test('a shared prefix is not evaluated twice', async () => {
  const scheduler = schedulerOf({ context: 4096 });
  const lease = await scheduler.acquire(smollm, { signal: never });
  const prefix = 'The quick brown fox jumps over the lazy dog. '.repeat(200);
  const cached = async (question: string) => {
    const body = { prompt: prefix + question, n_predict: 1, cache_prompt: true };
    let text = '';
    for await (const chunk of (await lease.runner.request('/completion', body)).body) text += chunk;
    return JSON.parse(text).timings as { cache_n: number; prompt_n: number };
  };
  const first = await cached('Who jumps?');
  assert.ok(first.prompt_n > 1900);
  const second = await cached('Over whom?');
  assert.ok(second.cache_n > 1900, `only ${second.cache_n} tokens came from the cache`);
  lease.release();
});

test('close() lets requests end, refuses new ones and leaves no process', async () => {
  const model = { ...smollm, modelPath: join(folder, 'close.gguf') };
  copyFileSync(smollm.modelPath, model.modelPath);
  const scheduler = schedulerOf();
  const lease = await scheduler.acquire(model, { signal: never });
  const closing = scheduler.close(10_000);
  await assert.rejects(scheduler.acquire(model, { signal: never }), { code: 'shutting_down' });
  const reply = await lease.runner.request('/v1/chat/completions', chat('Say hello.', 5), never);
  for await (const _ of reply.body);
  lease.release();
  await closing;
  await until('no process', () => runnersOf(model.modelPath).length === 0, 5000);
});

test('kill -9 of the server takes its runners along, shell guard or not', async () => {
  const model = join(folder, 'orphan.gguf');
  copyFileSync(smollm.modelPath, model);
  // A program called llama-server, as someone may have on the PATH.
  const program = join(folder, 'llama-server');
  const env = Object.entries(engine.env ?? {}).map(([name, value]) => `${name}='${value}'`);
  writeFileSync(
    program,
    `#!/bin/sh\n${env.join(' ')} exec ${engine.command.map((part) => `'${part}'`).join(' ')} "$@"\n`,
  );
  chmodSync(program, 0o755);
  const script = `
    import { startRunner } from ${JSON.stringify(join(import.meta.dirname, 'runner.ts'))};
    const flags = ['--model', ${JSON.stringify(model)}, '--port', '0', '--ctx-size', '512', '--jinja'];
    await startRunner({ command: [${JSON.stringify(program)}, ...flags], model: 'x', file: 'x' });
    console.log('loaded');
    setInterval(() => {}, 1000);
  `;
  const server = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await new Promise((resolve) => server.stdout.once('data', resolve));
  assert.equal(runnersOf(model).length, 1);
  server.kill('SIGKILL');
  await until('the end of the runner', () => runnersOf(model).length === 0, 5000);
});
