/**
 * What Viaduct costs on top of the engine: the same engine process is asked directly, through a bare Node proxy and through Viaduct, in turns.
 * On few cores a token's way takes time from the engine whoever carries it: the bare proxy says how much of that is Node's.
 * Run: node bench/engine.ts [--requests 10000] [--rounds 9] [--only single,parallel,first,memory,start]
 */
import { execFileSync, fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { Agent, request } from 'undici';
import { testEngine, testModel } from '../test/support/engine.ts';
import { freePort } from '../test/support/postgres.ts';
import { startTestServer } from '../test/support/server.ts';
import { median } from './median.ts';

const { values } = parseArgs({
  options: {
    requests: { type: 'string', default: '10000' },
    rounds: { type: 'string', default: '9' },
    only: { type: 'string' },
    model: { type: 'string', default: 'smollm2:135m' },
  },
});
const rounds = Number(values.rounds);
const wanted = (name: string) => !values.only || values.only.split(',').includes(name);
const { model } = values;
const root = join(import.meta.dirname, '..');
/** What users run: the built program. */
const main = join(root, 'dist/main.js');
const agent = new Agent({ headersTimeout: 0, bodyTimeout: 0 });

/** `closes`: it ends the connection of every stream, whatever it promises. */
type Target = { url: string; key: string; closes?: boolean };
type Run = { tokens: number; seconds: number; firstTokenMs: number };

/** One streamed chat: tokens that came, time until the first and until the end. */
async function chat({ url, key, closes = false }: Target, prompt: string, maxTokens: number): Promise<Run> {
  const started = performance.now();
  const { statusCode, body } = await request(`${url}/v1/chat/completions`, {
    method: 'POST',
    dispatcher: agent,
    reset: closes,
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body: JSON.stringify({
      model,
      messages: [{ role: 'user', content: prompt }],
      stream: true,
      stream_options: { include_usage: true },
      temperature: 0,
      max_tokens: maxTokens,
    }),
  });
  let text = '';
  let firstTokenMs = 0;
  for await (const chunk of body) {
    text += chunk;
    if (firstTokenMs === 0 && /"content":"[^"]/.test(text)) firstTokenMs = performance.now() - started;
  }
  const tokens = Number(/"completion_tokens":(\d+)/.exec(text)?.[1]);
  if (statusCode !== 200 || !tokens) throw new Error(`status ${statusCode}: ${text.slice(0, 500)}`);
  return { tokens, seconds: (performance.now() - started) / 1000, firstTokenMs };
}

const prompts = ['Tell me about rivers.', 'Why is the sky blue?', 'What is a prime?', 'Describe a cat.'];

/** Tokens per second of eight chats, `parallel` at a time. */
async function speed(target: Target, parallel: number): Promise<number> {
  const started = performance.now();
  let tokens = 0;
  for (let done = 0; done < 8; done += parallel) {
    const runs = await Promise.all(
      Array.from({ length: parallel }, (_, index) => chat(target, prompts[(done + index) % prompts.length] ?? '', 64)),
    );
    tokens += runs.reduce((sum, run) => sum + run.tokens, 0);
  }
  return tokens / ((performance.now() - started) / 1000);
}

/** Node compiles well only what it has seen often: chats before anything is measured. */
const warmUp = 100;

/** `count` chats, four at a time. */
async function many(target: Target, count: number, maxTokens: number): Promise<void> {
  for (let done = 0; done < count; done += 4)
    await Promise.all(Array.from({ length: Math.min(4, count - done) }, () => chat(target, 'Hello', maxTokens)));
}

type Compared = Record<'direct' | 'bare' | 'viaduct', number> & { ratio: number; bareRatio: number };

/**
 * All targets in turns, so that what else the machine does meets them alike; a ratio is the median of the rounds', because a machine's pace
 * changes from one second to the next.
 */
async function compare(measure: (target: Target) => Promise<number>): Promise<Compared> {
  const order = ['direct', 'bare', 'viaduct'] as const;
  const figures = { direct: [] as number[], bare: [] as number[], viaduct: [] as number[] };
  for (const name of order) await measure(targets[name]);
  for (let round = 0; round < rounds; round++)
    for (const name of round % 2 ? order.toReversed() : order) figures[name].push(await measure(targets[name]));
  const ratioOf = (name: 'bare' | 'viaduct') =>
    median(figures[name].map((figure, round) => figure / (figures.direct[round] ?? Number.NaN)));
  return {
    direct: median(figures.direct),
    bare: median(figures.bare),
    viaduct: median(figures.viaduct),
    ratio: ratioOf('viaduct'),
    bareRatio: ratioOf('bare'),
  };
}

/** Milliseconds from the start of `serve` to the first 200 on /healthz. */
async function startTime(home: string): Promise<number> {
  const port = await freePort();
  const started = performance.now();
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', main, 'serve'], {
    env: { ...process.env, VIADUCT_HOME: home, VIADUCT_HOST: `127.0.0.1:${port}` },
    stdio: 'ignore',
  });
  for (;;) {
    const reply = await request(`http://127.0.0.1:${port}/healthz`).catch(() => undefined);
    await reply?.body.dump();
    if (reply?.statusCode === 200) break;
    await sleep(5);
  }
  const took = performance.now() - started;
  child.kill();
  await new Promise((resolve) => child.on('exit', resolve));
  return took;
}

const residentMb = (pid: number) =>
  Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024;

execFileSync(join(root, 'node_modules/.bin/rolldown'), ['-c', '--logLevel', 'warn'], { cwd: root });
const folder = mkdtempSync(join(tmpdir(), 'viaduct-bench-'));
const engine = await testEngine();
await testModel(model);
// An engine whose port and key we learn, so that the very process that Viaduct uses can be asked directly.
const port = await freePort();
const wrapper = join(folder, 'llama-server');
const environment = Object.entries(engine.env ?? {}).map(([name, value]) => `export ${name}='${value}'`);
writeFileSync(
  wrapper,
  [
    '#!/bin/sh',
    ...environment,
    `echo "$LLAMA_API_KEY" > '${folder}/key'`,
    `exec ${engine.command.join(' ')} "$@" --port ${port}`,
  ].join('\n'),
);
chmodSync(wrapper, 0o755);

const server = await startTestServer({ models: [model], env: { VIADUCT_ENGINE: wrapper }, program: main });
const viaduct = { url: server.url, key: 'ollama' };
await chat(viaduct, 'Hello', 1);
const direct = {
  url: `http://127.0.0.1:${port}`,
  key: readFileSync(join(folder, 'key'), 'utf8').trim(),
  closes: true,
};
const bareProxy = fork(join(import.meta.dirname, 'gateway/bare.ts'), [direct.url, direct.key, 'closes']);
const [{ port: barePort }] = (await once(bareProxy, 'message')) as [{ port: number }];
const targets = { direct, bare: { url: `http://127.0.0.1:${barePort}`, key: '' }, viaduct };
try {
  for (const target of [viaduct, targets.bare]) await many(target, warmUp, 32);
  if (wanted('single')) await compareSpeed(1);
  if (wanted('parallel')) await compareSpeed(8);
  if (wanted('first')) await compareFirstToken();
  if (wanted('memory')) {
    const requests = Number(values.requests);
    await many(viaduct, requests, 1);
    console.log(
      `resident after ${requests} requests: ${residentMb(server.process.pid ?? 0).toFixed(0)} MB (wanted ≤ 160)`,
    );
  }

  async function compareSpeed(parallel: number) {
    const speeds = await compare((target) => speed(target, parallel));
    console.log(
      `${parallel} at a time: ${speeds.direct.toFixed(1)} tokens/s directly, ${speeds.viaduct.toFixed(1)} through Viaduct, ratio ${speeds.ratio.toFixed(3)} (wanted ≥ 0.97); bare proxy ${speeds.bareRatio.toFixed(3)}`,
    );
  }

  async function compareFirstToken() {
    const first = await compare(async (target) => {
      const times = [];
      for (let n = 0; n < 10; n++) times.push((await chat(target, 'Hello', 1)).firstTokenMs);
      return median(times);
    });
    console.log(
      `first token: ${first.direct.toFixed(1)} ms directly, ${first.viaduct.toFixed(1)} ms through Viaduct, added ${(first.viaduct - first.direct).toFixed(1)} ms (wanted ≤ 3); bare proxy ${(first.bare - first.direct).toFixed(1)} ms`,
    );
  }
} finally {
  bareProxy.kill();
  await server.close();
}
if (wanted('start')) {
  const starts = [];
  for (let n = 0; n < 5; n++) starts.push(await startTime(folder));
  console.log(`serve to first 200 on /healthz: ${median(starts).toFixed(0)} ms (wanted ≤ 500)`);
}
rmSync(folder, { recursive: true, force: true });
await agent.close();
