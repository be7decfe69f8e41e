/** What a key or a team may do. An absent field sets no bound. Stored as JSON text. */
export type Policy = {
  /** Public model names, or patterns with a star: `openai/*`. */
  models?: string[];
  /** Provider names. `local` is one. */
  providers?: string[];
  /** Path patterns: `/v1/chat/completions`, `/v1/*`. */
  endpoints?: string[];
  /** Addresses or CIDR ranges from which the key may be used: `10.0.0.0/8`. */
  ipRanges?: string[];
  /** `local`: what this key sends never leaves the machine. */
  privacy?: 'local';
  limits?: Limits;
  /** Keep prompts and answers for so many days; absent: not at all. */
  contentDays?: number;
};

export type Limits = {
  /** Requests per minute. */
  rpm?: number | undefined;
  /** Tokens per minute, input and output. */
  tpm?: number | undefined;
  /** Requests at the same time. */
  concurrent?: number | undefined;
};

/**
 * `admin` may do everything, `manager` what concerns the own team, `viewer` only look; `member` may use models and
 * nothing of /admin.
 */
export type Role = 'admin' | 'manager' | 'viewer' | 'member';
