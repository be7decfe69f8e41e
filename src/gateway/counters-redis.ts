/**
 * Counting shared by several instances, in Redis or Valkey. Every operation is one script, so that it happens whole or not at all.
 * What an instance holds (places, reservations) lies under its own name and counts only while the instance says that it lives, so
 * that a killed one holds nothing for long. While the server is away, each instance counts for itself.
 */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import type { Budget } from '../store/budgets.ts';
import { dayMs } from '../store/ledger-tables.ts';
import { windowAt } from './budget-window.ts';
import {
  type Amounts,
  budgetWaitMs,
  type Counters,
  type Meter,
  minuteMs,
  type Outcome,
  type Reading,
  type Take,
} from './counters.ts';

export type RedisCountersDeps = {
  /** `redis://…` or `rediss://…`. */
  url: string;
  now: () => number;
  /** A new one that counts in this process, while Redis is away. */
  substitute(): Counters;
  /** What the ledger in the database says was spent from the day `from` on, nano-dollars. */
  load(budget: Budget, from: number): Promise<number>;
  /** What was spent on a budget grew, nano-dollars. */
  grew(budget: Budget, before: number, after: number): void;
  /** Redis cannot be reached; said once until it can. */
  failed(error: unknown): void;
};

const heartbeatMs = 5000;
/** An instance that was silent for so long holds nothing any more. */
const aliveMs = 3 * heartbeatMs;
const commandTimeoutMs = 500;
const connectMs = 2000;
/** How often budgets in use are compared with the ledger: an instance may have died between the ledger and Redis. */
const compareMs = 10_000;
/** How often a request asks again whether others gave back what they held of a budget. */
const askAgainMs = 100;

/** Braces: all keys in one slot of a cluster. */
const prefix = '{viaduct}:';
const alivePrefix = `${prefix}alive:`;
const spentKey = (budget: Budget, start: number) => `${prefix}budget:${budget.id}:${start}`;

/**
 * KEYS: per meter its key. ARGV: alive prefix, instance, then per meter kind, size, amount.
 * Gives { 'hold' | 'refused' | 'contended', number of the meter in the way, ms to wait or -1, then level and amount per meter }, or
 * { 'unknown', number of the meter } when nobody has said yet what was spent on a budget.
 */
const takeScript = `
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local alive, me = ARGV[1], ARGV[2]
local function held(key)
  local sum = 0
  local entries = redis.call('HGETALL', key)
  for i = 1, #entries, 2 do
    if entries[i] == me or redis.call('EXISTS', alive .. entries[i]) == 1 then sum = sum + tonumber(entries[i + 1])
    else redis.call('HDEL', key, entries[i]) end
  end
  return sum
end
local levels, amounts, verdict, at, wait = {}, {}, nil, 0, -1
for i = 1, #KEYS do
  local kind, size, amount = ARGV[i * 3], tonumber(ARGV[i * 3 + 1]), tonumber(ARGV[i * 3 + 2])
  if kind == 'rate' then
    local state = redis.call('HMGET', KEYS[i], 'level', 'at')
    local level = tonumber(state[1]) or size
    local since = now - (tonumber(state[2]) or now)
    if since > 0 then level = level + since * size / ${minuteMs} end
    level = math.min(size, level)
    amount = math.min(size, amount)
    levels[i], amounts[i] = level, amount
    if not verdict and amount - level > 0.000001 then
      verdict, at = 'refused', i
      if size > 0 then wait = (amount - level) * ${minuteMs} / size end
    end
  elseif kind == 'slots' then
    levels[i], amounts[i] = 0, 1
    if not verdict and held(KEYS[i]) >= size then verdict, at, wait = 'refused', i, 1000 end
  else
    levels[i] = 0
    local spent = tonumber(redis.call('GET', KEYS[i]))
    if not spent then return { 'unknown', i } end
    local left = size - spent - held(KEYS[i] .. ':held')
    amounts[i] = math.min(amount, left)
    if not verdict and spent >= size then verdict, at = 'refused', i
    elseif not verdict and left <= 0 then verdict, at = 'contended', i end
  end
end
for i = 1, #KEYS do
  local kind = ARGV[i * 3]
  if kind == 'rate' then
    if not verdict then levels[i] = levels[i] - amounts[i] end
    redis.call('HSET', KEYS[i], 'level', tostring(levels[i]), 'at', now)
    redis.call('PEXPIRE', KEYS[i], ${2 * minuteMs})
  elseif not verdict then
    local key = kind == 'slots' and KEYS[i] or KEYS[i] .. ':held'
    redis.call('HINCRBY', key, me, amounts[i])
  end
end
local reply = verdict and { verdict, at, math.ceil(wait) } or { 'hold', 0, 0 }
for i = 1, #KEYS do
  reply[#reply + 1] = string.format('%.6f', levels[i])
  reply[#reply + 1] = string.format('%.0f', amounts[i])
end
return reply
`;

/** KEYS: per meter its key. ARGV: instance, then per meter kind, size, amount to give back (a rate may owe: negative). */
const giveScript = `
for i = 1, #KEYS do
  local kind, size, amount = ARGV[i * 3 - 1], tonumber(ARGV[i * 3]), tonumber(ARGV[i * 3 + 1])
  if kind == 'rate' then
    local level = tonumber(redis.call('HGET', KEYS[i], 'level'))
    if level then redis.call('HSET', KEYS[i], 'level', tostring(math.min(size, level + amount))) end
  elseif redis.call('HINCRBY', KEYS[i], ARGV[1], -amount) <= 0 then
    redis.call('HDEL', KEYS[i], ARGV[1])
  end
end
`;

/** Adds to a budget that is known; gives the new sum, or nothing when it is not known and the database will tell. */
const spendScript = `
if redis.call('EXISTS', KEYS[1]) == 0 then return false end
return redis.call('INCRBY', KEYS[1], ARGV[1])
`;

/** Raises a budget's sum to what the database knows, and makes it known when it was not. Gives the sum before. */
const raiseScript = `
local spent = tonumber(redis.call('GET', KEYS[1]))
if not spent or spent < tonumber(ARGV[1]) then redis.call('SET', KEYS[1], ARGV[1]) end
if ARGV[2] ~= '' then redis.call('PEXPIREAT', KEYS[1], ARGV[2]) end
return spent or false
`;

type Scripts = {
  viaductTake(keys: number, ...rest: (string | number)[]): Promise<[string, number, number, ...string[]]>;
  viaductGive(keys: number, ...rest: (string | number)[]): Promise<unknown>;
  viaductSpend(keys: number, key: string, nano: number): Promise<number | null>;
  viaductRaise(keys: number, key: string, nano: number, expiresAt: number | ''): Promise<string | null>;
};

/** Resolves when Redis answers or did not for `connectMs`. */
export async function redisCounters(deps: RedisCountersDeps): Promise<Counters> {
  const { url, now, load, grew, failed } = deps;
  const client = connect(url);
  let me = createName();
  /** Counts here while Redis is away. */
  let substitute: Counters | undefined;
  /** Budgets in use, to be compared with the database now and then. */
  let inUse = new Map<string, Budget>();

  const lost = (error: unknown) => {
    if (substitute) return;
    substitute = deps.substitute();
    // What a command that got no answer took is held by a name that nobody keeps alive any more.
    me = createName();
    failed(error);
  };

  const beat = () => client.set(`${alivePrefix}${me}`, 1, 'PX', aliveMs);

  const raise = async (budget: Budget) => {
    const { start, end } = windowAt(budget.period, now());
    const spent = await load(budget, start);
    const before = await client.viaductRaise(
      1,
      spentKey(budget, start),
      spent,
      Number.isFinite(end) ? end + dayMs : '',
    );
    if (before !== null) grew(budget, Number(before), spent);
  };

  const found = async () => {
    await beat();
    // What was spent while nobody could tell Redis is in the ledger.
    await Promise.all([...inUse.values()].map(raise));
    await substitute?.close();
    substitute = undefined;
  };

  client.on('error', lost);
  client.on('close', () => lost(new Error('The connection to Redis was closed.')));
  client.on('ready', () => void found().catch(lost));
  const heartbeat = setInterval(() => {
    if (client.status === 'ready') beat().catch(lost);
  }, heartbeatMs);
  const comparison = setInterval(() => {
    if (substitute || client.status !== 'ready') return;
    const budgets = inUse;
    inUse = new Map();
    for (const budget of budgets.values()) raise(budget).catch(lost);
  }, compareMs);
  heartbeat.unref();
  comparison.unref();
  await firstAnswer(client);

  const takeShared = async (meters: readonly Meter[], amounts: Amounts, deadline: number): Promise<Outcome> => {
    const owner = me;
    const time = now();
    const entries = meters.map((meter) => scriptEntry(meter, amounts, time));
    const keys = entries.map(({ key }) => key);
    const [verdict, position, waitMs, ...numbers] = await client.viaductTake(
      keys.length,
      ...keys,
      alivePrefix,
      owner,
      ...entries.flatMap(({ kind, size, amount }) => [kind, size, amount]),
    );
    const meter = meters[position - 1];
    if (meter && verdict === 'unknown' && meter.kind === 'budget') {
      await raise(meter.budget);
      return takeShared(meters, amounts, deadline);
    }
    if (meter && verdict === 'contended' && time < deadline) {
      await sleep(askAgainMs * (0.5 + Math.random()));
      return takeShared(meters, amounts, deadline);
    }
    const readings = readingsOf(entries, numbers);
    if (meter) return { refusal: { meter, readings, ...(waitMs >= 0 && { retryAfterMs: waitMs }) } };
    const give = (tokens: number) => {
      const back = entries.map(({ kind, meter, size }, i) => {
        const taken = Number(numbers[2 * i + 1]);
        if (kind !== 'rate') return [kind, size, taken];
        return [kind, size, meter.kind === 'tokens' ? taken - tokens : 0];
      });
      const heldKeys = entries.map(({ key, kind }) => (kind === 'budget' ? `${key}:held` : key));
      client.viaductGive(keys.length, ...heldKeys, owner, ...back.flat()).catch(lost);
    };
    return { hold: { readings, settle: give, release: () => give(0) } };
  };

  return {
    prepare(meters): Take {
      for (const meter of meters) if (meter.kind === 'budget') inUse.set(meter.budget.id, meter.budget);
      const budgets = meters.flatMap((meter) => (meter.kind === 'budget' ? [meter.budget] : []));
      return async (amounts) => {
        if (substitute) return substitute.prepare(meters)(amounts);
        for (const budget of budgets) inUse.set(budget.id, budget);
        try {
          return await takeShared(meters, amounts, now() + budgetWaitMs);
        } catch (error) {
          lost(error);
          return (substitute ?? deps.substitute()).prepare(meters)(amounts);
        }
      };
    },

    spend(budgets, nano, startedAt) {
      substitute?.spend(budgets, nano, startedAt);
      if (substitute) return;
      for (const budget of budgets) {
        inUse.set(budget.id, budget);
        const { start } = windowAt(budget.period, startedAt);
        client
          .viaductSpend(1, spentKey(budget, start), nano)
          .then((spent) => {
            if (spent !== null) grew(budget, spent - nano, spent);
          })
          .catch(lost);
      }
    },

    async spent(budget) {
      const { start } = windowAt(budget.period, now());
      if (substitute) return substitute.spent(budget);
      const known = await client.get(spentKey(budget, start));
      return known === null ? load(budget, start) : Number(known);
    },

    isReachable: async () => (await client.ping()) === 'PONG',

    async close() {
      clearInterval(heartbeat);
      clearInterval(comparison);
      client.removeAllListeners();
      client.on('error', () => {});
      // Others need not wait until this instance counts as dead.
      await client.del(`${alivePrefix}${me}`).catch(() => {});
      client.disconnect();
      await substitute?.close();
    },
  };
}

const createName = () => randomBytes(9).toString('base64url');

function connect(url: string): Redis & Scripts {
  return new Redis(url, {
    commandTimeout: commandTimeoutMs,
    maxRetriesPerRequest: 0,
    enableOfflineQueue: false,
    retryStrategy: (attempt) => Math.min(attempt * 100, 2000),
    scripts: {
      viaductTake: { lua: takeScript },
      viaductGive: { lua: giveScript },
      viaductSpend: { lua: spendScript },
      viaductRaise: { lua: raiseScript },
    },
  }) as Redis & Scripts;
}

async function firstAnswer(client: Redis): Promise<void> {
  const signal = AbortSignal.timeout(connectMs);
  // Redis that is away at the start is like Redis that goes away later.
  await once(client, 'ready', { signal }).catch(() => {});
}

type Entry = { meter: Meter; key: string; kind: 'rate' | 'slots' | 'budget'; size: number; amount: number };

function scriptEntry(meter: Meter, { tokens, nano }: Amounts, time: number): Entry {
  switch (meter.kind) {
    case 'requests':
    case 'tokens': {
      const amount = meter.kind === 'requests' ? 1 : tokens;
      return { meter, key: `${prefix}${meter.id}`, kind: 'rate', size: meter.perMinute, amount };
    }
    case 'concurrent':
      return { meter, key: `${prefix}${meter.id}`, kind: 'slots', size: meter.limit, amount: 1 };
    case 'budget': {
      const { budget } = meter;
      const key = spentKey(budget, windowAt(budget.period, time).start);
      return { meter, key, kind: 'budget', size: budget.amountNano, amount: nano };
    }
  }
}

function readingsOf(entries: Entry[], numbers: string[]): Reading[] {
  const readings: Reading[] = [];
  for (const [i, { meter }] of entries.entries()) {
    if (meter.kind !== 'requests' && meter.kind !== 'tokens') continue;
    const level = Number(numbers[2 * i]);
    const limit = meter.perMinute;
    readings.push({
      kind: meter.kind,
      limit,
      remaining: Math.max(0, Math.floor(level + 1e-6)),
      resetMs: limit > 0 ? ((limit - level) * minuteMs) / limit : minuteMs,
    });
  }
  return readings;
}
