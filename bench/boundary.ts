/**
 * What the boundary costs: key check + limits + budget + ledger, as CPU time per request, and reports on 1,000,000 ledger rows.
 * Run: node bench/boundary.ts [rows]
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createBoundary } from '../src/gateway/boundary.ts';
import { keyStore } from '../src/store/keys.ts';
import { ledgerStore } from '../src/store/ledger.ts';
import { LedgerBatch } from '../src/store/ledger-batch.ts';
import { dayMs, type LedgerRow } from '../src/store/ledger-tables.ts';
import { openStore } from '../src/store/open.ts';

const rows = Number(process.argv[2] ?? 1_000_000);
const home = mkdtempSync(join(tmpdir(), 'viaduct-bench-'));
const db = await openStore({ database: 'sqlite', home });
const boundary = await createBoundary({
  db,
  home,
  redis: undefined,
  authMode: 'auto',
  secret: undefined,
  adminKey: undefined,
  rotationOverlapMs: 0,
  loopback: true,
  limits: {},
  prices: {},
  machine: { watts: 65, pricePerKwh: 0.3, hardwarePrice: 2000, lifetimeHours: 26_280 },
  now: Date.now,
  warn: console.error,
});

try {
  await perRequest();
  await reports();
} finally {
  await boundary.close();
  await db.destroy();
  rmSync(home, { recursive: true, force: true });
}

async function perRequest() {
  const { administration, authenticate, admit, account } = boundary;
  const { key, secret } = await administration.keys.create({
    name: 'bench',
    createdBy: 'bench',
    policy: { limits: { rpm: 1e9, tpm: 1e12, concurrent: 1000 }, models: ['fast'] },
  });
  await administration.budgets.create({ scope: 'key', scopeId: key.id, period: 'month', amount: 1e6 });
  const signal = new AbortController().signal;
  let id = 0;
  const one = async () => {
    const requestId = `req_${id++}`;
    const entered = authenticate({ secret, requestId, signal, address: '127.0.0.1', endpoint: '/v1/chat/completions' });
    const identity = entered instanceof Promise ? await entered : entered;
    const admitted = admit(identity, { requestId, model: 'fast', inputTokens: 100, outputTokens: 100, cost: 0.001 });
    const admission = admitted instanceof Promise ? await admitted : admitted;
    account({
      id: requestId,
      requestId,
      attempt: 1,
      startedAt: Date.now(),
      endpoint: '/v1/chat/completions',
      keyId: key.id,
      model: 'fast',
      provider: 'openai',
      targetModel: 'gpt-5',
      usage: { input: 100, output: 100 },
      estimated: false,
      cost: 0.001,
      totalMs: 10,
      status: 'ok',
      stream: false,
      tags: [],
      shadow: false,
    });
    admission.settle({ input: 100, output: 100 }, 0.001);
  };
  // At 2,000 requests a second, as a busy instance has them; the database's thread and the disk's writes are counted.
  const measure = async (count: number, work: () => Promise<void>) => {
    const before = process.cpuUsage();
    for (let done = 0; done < count; done += 20) {
      for (let i = 0; i < 20; i++) await work();
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    await boundary.ledger.flush();
    const { user, system } = process.cpuUsage(before);
    return (user + system) / 1000 / count;
  };
  await measure(5000, one);
  const without = await measure(20_000, async () => {});
  const added = (await measure(20_000, one)) - without;
  console.log(`key + limits + budget + ledger: ${added.toFixed(4)} ms CPU per request (bound 0.04)`);
}

async function reports() {
  const ledger = ledgerStore(db);
  const today = Date.now() - (Date.now() % dayMs);
  const keys = keyStore(db);
  for (let n = 0; n < 200; n++)
    await keys.insert({
      id: `key_${n}`,
      name: `app ${n}`,
      prefix: 'vd-abcdef',
      hash: `hash ${n}`,
      role: 'member',
      teamId: null,
      policy: {},
      tags: [],
      metadata: {},
      createdBy: 'bench',
      createdAt: today + n,
      expiresAt: null,
    });
  const batch = 20_000;
  const began = performance.now();
  for (let start = 0; start < rows; start += batch)
    await ledger.append(
      LedgerBatch.of(Array.from({ length: Math.min(batch, rows - start) }, (_, i) => row(start + i, today))),
    );
  const seconds = (performance.now() - began) / 1000;
  console.log(`${rows} ledger rows written in ${seconds.toFixed(0)} s (${Math.round(rows / seconds)} per second)`);
  await time('usage by day (bound 300 ms)', () => ledger.usage({ by: 'day' }));
  await time('usage by day of one key', () => ledger.usage({ by: 'day', keyId: 'key_7' }));
  await time('usage by model, 30 days', () => ledger.usage({ by: 'model', from: today - 29 * dayMs }));
  await time('usage by key, 90 days', () => ledger.usage({ by: 'key' }));
  await time('keys list (bound 50 ms)', () => keys.list({ limit: 1000 }));
  await time('newest requests', () => ledger.requests({ limit: 100 }));
}

function row(n: number, today: number): LedgerRow {
  return {
    id: `bench-${n}`,
    request_id: `bench-${n}`,
    attempt: 1,
    shadow: 0,
    key_id: `key_${n % 200}`,
    team_id: '',
    endpoint: '/v1/chat/completions',
    model: `model-${n % 13}`,
    provider: `provider-${n % 5}`,
    target: 'gpt-5',
    input_tokens: 900,
    output_tokens: 100,
    cache_read_tokens: 0,
    cache_write_tokens: 0,
    reasoning_tokens: 0,
    image_tokens: 0,
    cost_nano: 1_000_000,
    status: 'ok',
    cause: null,
    started_at: today - Math.floor(n / 11_111) * dayMs + (n % 86_400) * 1000,
    first_token_ms: 200,
    total_ms: 900,
    queue_ms: 0,
    load_ms: 0,
    digest: null,
    stream: 1,
    estimated: 0,
    tags: '[]',
    metadata: '{}',
  };
}

async function time(what: string, work: () => Promise<unknown[]>) {
  const times: number[] = [];
  let lines = 0;
  for (let i = 0; i < 5; i++) {
    const began = performance.now();
    lines = (await work()).length;
    times.push(performance.now() - began);
  }
  console.log(`${what}: ${times.sort((a, b) => a - b)[2]?.toFixed(1)} ms (median of 5; ${lines} lines)`);
}
