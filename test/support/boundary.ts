/** A boundary on a database of its own, and requests through it that cost what the test says. */
import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Boundary, type BoundaryOptions, createBoundary } from '../../src/gateway/boundary.ts';
import type { Credentials, Estimate, LedgerEntry } from '../../src/gateway/contract.ts';
import { openStore, type Store } from '../../src/store/open.ts';

type Hooks = { after(work: () => Promise<void>): void };
export type TestBoundary = Boundary & { db: Store; home: string; warnings: Record<string, unknown>[] };

/** Gone when the test is: `hooks` is its context. */
export async function testBoundary(
  hooks: Hooks,
  options: Partial<BoundaryOptions> & { database?: string } = {},
): Promise<TestBoundary> {
  const home = options.home ?? mkdtempSync(join(tmpdir(), 'viaduct-boundary-'));
  const db = await openStore({ database: options.database ?? 'sqlite', home });
  const warnings: Record<string, unknown>[] = [];
  const boundary = await createBoundary({
    db,
    home,
    redis: undefined,
    authMode: 'auto',
    secret: 'the same on all instances of a test',
    adminKey: undefined,
    rotationOverlapMs: 1000,
    loopback: true,
    limits: {},
    prices: {},
    machine: { watts: 65, pricePerKwh: 0.3, hardwarePrice: 2000, lifetimeHours: 26_280 },
    now: Date.now,
    warn: (fields) => warnings.push(fields),
    ...options,
  });
  hooks.after(async () => {
    await boundary.close();
    await db.destroy();
    rmSync(home, { recursive: true, force: true });
  });
  return Object.assign(boundary, { db, home, warnings });
}

export const credentials = (secret: string | undefined, more: Partial<Credentials> = {}): Credentials => ({
  secret,
  requestId: randomUUID(),
  signal: AbortSignal.any([]),
  address: '127.0.0.1',
  endpoint: '/v1/chat/completions',
  ...more,
});

export const estimate = (more: Partial<Estimate> = {}): Estimate => ({
  requestId: randomUUID(),
  model: 'fast',
  inputTokens: 5,
  outputTokens: 5,
  cost: 0,
  ...more,
});

export const entry = (more: Partial<LedgerEntry> = {}): LedgerEntry => ({
  id: randomUUID(),
  requestId: randomUUID(),
  attempt: 1,
  startedAt: Date.now(),
  endpoint: '/v1/chat/completions',
  model: 'fast',
  provider: 'openai',
  targetModel: 'gpt-5',
  usage: { input: 5, output: 5 },
  estimated: false,
  totalMs: 5,
  status: 'ok',
  stream: false,
  tags: [],
  shadow: false,
  ...more,
});

/** `guess` is what the estimate says; absent: the truth. Costs in USD. */
type Ask = { cost?: number; guess?: number; tokens?: number; ms?: number; model?: string };

/** One request as the pipeline makes it. Throws what admission throws; resolves when it was accounted for. */
export async function ask(boundary: Boundary, secret: string | undefined, options: Ask = {}) {
  const { cost = 0, tokens = 10, ms = 5, model = 'fast' } = options;
  const guess = options.guess ?? cost;
  const identity = await boundary.authenticate(credentials(secret));
  const admission = await boundary.admit(identity, estimate({ model, cost: guess }));
  await sleep(ms);
  const { keyId, teamId } = identity;
  boundary.account(entry({ cost, model, ...(keyId && { keyId }), ...(teamId && { teamId }) }));
  admission.settle({ input: tokens, output: 0 }, cost);
  return admission;
}
