/** What the ledger is made of: a row per attempt, and its sums per day. */
import type { Selectable } from 'kysely';

export type LedgerTables = {
  ledger: {
    /** Made by this program, unlike `request_id`, which a client may choose. */
    id: string;
    request_id: string;
    attempt: number;
    shadow: number;
    /** Empty when no key was needed. */
    key_id: string;
    team_id: string;
    endpoint: string;
    model: string;
    provider: string;
    /** The provider's own name of the model. */
    target: string;
    input_tokens: number;
    output_tokens: number;
    cache_read_tokens: number;
    cache_write_tokens: number;
    reasoning_tokens: number;
    image_tokens: number;
    /** Nano-dollars; null when the price is unknown. */
    cost_nano: number | null;
    /** `ok`, `error` or `aborted`. */
    status: string;
    /** Code of the error table; null when it went well. */
    cause: string | null;
    started_at: number;
    first_token_ms: number | null;
    total_ms: number;
    queue_ms: number;
    load_ms: number;
    /** Manifest of the local model that answered. */
    digest: string | null;
    stream: number;
    /** 1 when the provider told no usage and it was counted here. */
    estimated: number;
    tags: string;
    metadata: string;
  };
  usage_days: Sums & {
    /** 00:00 UTC. */
    day: number;
    key_id: string;
    team_id: string;
    model: string;
    provider: string;
    shadow: number;
  };
};

export type Sums = {
  /** Requests count once however many attempts they took. */
  requests: number;
  attempts: number;
  /** Attempts that failed. */
  errors: number;
  input_tokens: number;
  output_tokens: number;
  cache_read_tokens: number;
  reasoning_tokens: number;
  image_tokens: number;
  cost_nano: number;
  /** Attempts whose price is unknown: they are in `cost_nano` with nothing. */
  unpriced: number;
};

export type LedgerRow = Selectable<LedgerTables['ledger']>;
export type UsageDay = Selectable<LedgerTables['usage_days']>;

/** In the order in which a row is written as a list. */
export const ledgerColumns = [
  'id',
  'request_id',
  'attempt',
  'shadow',
  'key_id',
  'team_id',
  'endpoint',
  'model',
  'provider',
  'target',
  'input_tokens',
  'output_tokens',
  'cache_read_tokens',
  'cache_write_tokens',
  'reasoning_tokens',
  'image_tokens',
  'cost_nano',
  'status',
  'cause',
  'started_at',
  'first_token_ms',
  'total_ms',
  'queue_ms',
  'load_ms',
  'digest',
  'stream',
  'estimated',
  'tags',
  'metadata',
] as const satisfies (keyof LedgerRow)[];

export const dayMs = 86_400_000;
/** Milliseconds since 1970 → 00:00 UTC of that day. */
export const dayOf = (time: number) => time - (time % dayMs);
