/**
 * What the gateway costs: CPU time of its process per request, beside a bare Node proxy in the same run, so that the ratio holds on any machine.
 * Run: node bench/gateway.ts [--requests 20000] [--only plain,stream,translated,pace,open,flat] [--check]
 * `--check` fails when a figure of issue 5 is missed. `VIADUCT_BENCH_PROF=1` writes a CPU profile of the server.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Pool } from 'undici';
import { leanEnvironment, leanSettings } from '../src/cli/lean.ts';
import type { Reading } from './gateway/measured.ts';
import { median } from './median.ts';

const { values } = parseArgs({
  options: {
    requests: { type: 'string', default: '20000' },
    only: { type: 'string' },
    check: { type: 'boolean', default: false },
  },
});
const requests = Number(values.requests);
const connections = 32;
const wanted = (name: string) => !values.only || values.only.split(',').includes(name);

type Started = { child: ChildProcess; url: string; secret: string };

function start(name: string, args: string[] = []): Promise<Started> {
  const profile =
    name === 'server' && process.env['VIADUCT_BENCH_PROF'] ? ['--cpu-prof', '--cpu-prof-dir=/tmp/viaduct-prof'] : [];
  const child = fork(join(import.meta.dirname, 'gateway', `${name}.ts`), args, {
    execArgv: ['--disable-warning=ExperimentalWarning', ...(name === 'server' ? leanSettings : []), ...profile],
    env: name === 'server' ? { ...process.env, ...leanEnvironment } : process.env,
    stdio: ['ignore', 'inherit', name === 'server' ? 'ignore' : 'inherit', 'ipc'],
  });
  return new Promise((resolve, reject) => {
    child.once('exit', (code) => reject(new Error(`${name} ended with ${code}`)));
    child.once('message', (message) => {
      const { port, secret = '' } = message as { port: number; secret?: string };
      resolve({ child, url: `http://127.0.0.1:${port}`, secret });
    });
  });
}

function read({ child }: Started): Promise<Reading> {
  return new Promise((resolve) => {
    const onMessage = (message: unknown) => {
      child.off('message', onMessage);
      resolve((message as { reading: Reading }).reading);
    };
    child.on('message', onMessage);
    child.send('reading');
  });
}

const history = 'Please continue the story where we left it, and mind the style of the beginning. '.repeat(5);

function body(model: string, stream: boolean): string {
  return JSON.stringify({
    model,
    stream,
    messages: [
      { role: 'system', content: 'You are a helpful assistant.' },
      { role: 'user', content: history },
    ],
    temperature: 0.7,
    max_tokens: 200,
    user: 'bench-user',
  });
}

/** `count` requests over `connections`; gives the latencies in milliseconds. */
async function load(to: Started, count: number, payload: string, connectionCount = connections): Promise<number[]> {
  const pool = new Pool(to.url, { connections: connectionCount, pipelining: 1 });
  const headers = { 'content-type': 'application/json', authorization: `Bearer ${to.secret}` };
  const latencies: number[] = [];
  let left = count;
  const worker = async () => {
    while (left-- > 0) {
      const startedAt = performance.now();
      const { statusCode, body: reply } = await pool.request({
        path: '/v1/chat/completions',
        method: 'POST',
        headers,
        body: payload,
      });
      if (statusCode !== 200) throw new Error(`${statusCode}: ${await reply.text()}`);
      for await (const _chunk of reply);
      latencies.push(performance.now() - startedAt);
    }
  };
  await Promise.all(Array.from({ length: connectionCount }, worker));
  await pool.close();
  return latencies.sort((a, b) => a - b);
}

type Figure = { cpuMs: number; systemMs: number; perSecond: number; p99: number; residentMb: number };
/** `times`: CPU time ÷ that of the first subject. */
type Compared = { best: Figure; times: number };

const rounds = 15;
/** Of the requests of all rounds that one has: short ones, so that neighbours meet the same machine. */
const roundShare = 1 / 5;
/** Node compiles well only what it has seen tens of thousands of times. */
const warmUp = 40_000;

/**
 * Rounds in turn, so that what else the machine does falls on all alike. The best round of each is its figure, for noise only ever adds; what a
 * subject costs beside the first is the median of the rounds, because a machine's pace changes from one second to the next.
 * The code must be compiled before its cost means anything, so a first load is not measured.
 */
async function compare(subjects: [to: Started, payload: string][], count: number): Promise<Compared[]> {
  for (const [to, payload] of subjects) await load(to, Math.max(count, warmUp), payload);
  const measured = subjects.map((): Figure[] => []);
  for (let round = 0; round < rounds; round++)
    for (const [at, [to, payload]] of subjects.entries())
      measured[at]?.push(await measure(to, Math.ceil(count * roundShare), payload));
  const [first = []] = measured;
  return measured.map((figures) => ({
    best: figures.reduce((best, figure) => (figure.cpuMs < best.cpuMs ? figure : best)),
    times: median(figures.map(({ cpuMs }, round) => cpuMs / (first[round]?.cpuMs ?? Number.NaN))),
  }));
}

async function measure(to: Started, count: number, payload: string): Promise<Figure> {
  const before = await read(to);
  const startedAt = performance.now();
  const latencies = await load(to, count, payload);
  const seconds = (performance.now() - startedAt) / 1000;
  const after = await read(to);
  return {
    cpuMs: (after.userMs + after.systemMs - before.userMs - before.systemMs) / count,
    systemMs: (after.systemMs - before.systemMs) / count,
    perSecond: count / seconds,
    p99: latencies[Math.floor(latencies.length * 0.99)] ?? 0,
    residentMb: after.residentMb,
  };
}

const line = (name: string, { cpuMs, systemMs, perSecond, p99, residentMb }: Figure) =>
  console.log(
    `${name.padEnd(34)} ${cpuMs.toFixed(4)} ms CPU (${systemMs.toFixed(4)} system)  ${perSecond.toFixed(0).padStart(6)} /s  p99 ${p99.toFixed(1).padStart(6)} ms  ${residentMb.toFixed(0)} MB`,
  );

function report(name: string, floor: Compared, ours: Compared, mostMs: number, mostTimes: number): void {
  line(`bare proxy, ${name}`, floor.best);
  line(`viaduct, ${name}`, ours.best);
  expect(`${name}, ms CPU`, ours.best.cpuMs, mostMs);
  expect(`${name}, times the bare proxy`, ours.times, mostTimes);
}

const missed: string[] = [];
function expect(name: string, value: number, atMost: number): void {
  const good = value <= atMost;
  console.log(`  ${good ? '✓' : '✗'} ${name}: ${value.toFixed(3)} (at most ${atMost})`);
  if (!good) missed.push(name);
}

const upstream = await start('upstream');
const bare = await start('bare', [upstream.url]);
const server = await start('server', [upstream.url]);
try {
  if (wanted('plain')) {
    const [floor, ours] = await compare(
      [
        [bare, body('plain', false)],
        [server, body('plain', false)],
      ],
      requests,
    );
    if (floor && ours) report('plain', floor, ours, 0.1, 2);
  }
  if (wanted('stream')) {
    const [floor, ours] = await compare(
      [
        [bare, body('plain', true)],
        [server, body('plain', true)],
      ],
      requests / 2,
    );
    if (floor && ours) report('100-chunk stream', floor, ours, 0.45, 1.5);
  }
  if (wanted('translated')) {
    const [unary, streamed] = await compare(
      [
        [server, body('translated', false)],
        [server, body('translated', true)],
      ],
      requests / 2,
    );
    if (unary && streamed) {
      line('viaduct, translated', unary.best);
      line('viaduct, translated 100-chunk stream', streamed.best);
      expect('translated, ms CPU per request', unary.best.cpuMs, 1);
      expect('translated stream, ms CPU per stream', streamed.best.cpuMs, 1);
    }
  }
  if (wanted('pace')) await pace();
  // These look at memory, so nothing may have run in the process before.
  if (wanted('open')) await alone(openStreams);
  if (wanted('flat')) await alone(flatMemory);
} finally {
  for (const { child } of [server, bare, upstream]) {
    child.removeAllListeners('exit');
    child.disconnect();
    setTimeout(() => child.kill('SIGKILL'), 3000).unref();
  }
}
if (values.check && missed.length > 0) {
  console.error(`Missed: ${missed.join(', ')}`);
  process.exitCode = 1;
}

/** Added p99 at 200 requests a second: the same pace against the upstream itself and through the gateway. */
async function pace(): Promise<void> {
  const run = async (to: Started) => {
    const pool = new Pool(to.url, { connections: 64, pipelining: 1 });
    const headers = { 'content-type': 'application/json', authorization: `Bearer ${to.secret}` };
    const payload = body('plain', false);
    const pending: Promise<number>[] = [];
    const one = async () => {
      const startedAt = performance.now();
      const { body: reply } = await pool.request({
        path: '/v1/chat/completions',
        method: 'POST',
        headers,
        body: payload,
      });
      await reply.text();
      return performance.now() - startedAt;
    };
    await new Promise<void>((resolve) => {
      const timer = setInterval(() => {
        pending.push(one());
        if (pending.length >= 2000) {
          clearInterval(timer);
          resolve();
        }
      }, 5);
    });
    const latencies = (await Promise.all(pending)).sort((a, b) => a - b);
    await pool.close();
    return latencies[Math.floor(latencies.length * 0.99)] ?? 0;
  };
  await load(server, warmUp, body('plain', false));
  const direct = await run(upstream);
  const through = await run(server);
  console.log(`200 requests a second: p99 ${direct.toFixed(2)} ms direct, ${through.toFixed(2)} ms through viaduct`);
  expect('added p99 at 200 requests a second, ms', through - direct, 2);
}

async function alone(run: (server: Started) => Promise<void>): Promise<void> {
  const fresh = await start('server', [upstream.url]);
  try {
    await run(fresh);
  } finally {
    fresh.child.removeAllListeners('exit');
    fresh.child.disconnect();
  }
}

/** Resident memory after the first quarter of 200,000 requests and after all of them. */
async function flatMemory(server: Started): Promise<void> {
  const quarter = 50_000;
  const resident: number[] = [];
  for (let part = 0; part < 4; part++) {
    await load(server, quarter, body('plain', false));
    resident.push((await read(server)).residentMb);
  }
  console.log(`resident after each ${quarter} requests: ${resident.map((mb) => mb.toFixed(0)).join(', ')} MB`);
  expect('memory after 200,000 requests, times that after 50,000', (resident.at(-1) ?? 0) / (resident[0] ?? 1), 1.1);
}

/** 1,000 open streams, one chunk every 10 ms in each: memory, and how late chunks come. */
async function openStreams(server: Started): Promise<void> {
  const pool = new Pool(server.url, { connections: 1000, pipelining: 1 });
  const headers = { 'content-type': 'application/json', authorization: `Bearer ${server.secret}` };
  const payload = body('plain', true).replace('"temperature"', '"seed":10,"temperature"');
  const late: number[] = [];
  const one = async () => {
    const { body: reply } = await pool.request({
      path: '/v1/chat/completions',
      method: 'POST',
      headers,
      body: payload,
    });
    for await (const chunk of reply) {
      const now = Date.now();
      for (const [, sent] of String(chunk).matchAll(/"created":(\d{13})/g)) late.push(now - Number(sent));
    }
  };
  const running = Array.from({ length: 1000 }, one);
  await new Promise((resolve) => setTimeout(resolve, 2000));
  const { residentMb } = await read(server);
  await Promise.all(running);
  await pool.close();
  late.sort((a, b) => a - b);
  const p99 = late[Math.floor(late.length * 0.99)] ?? 0;
  console.log(`1,000 open streams: ${residentMb.toFixed(0)} MB, chunks late by ${p99} ms at p99`);
  expect('memory with 1,000 open streams, MB', residentMb, 250);
  expect('lateness of chunks at p99, ms', p99, 50);
}
