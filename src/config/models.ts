/** The `models` section: public names, and where requests for them go. Durations are milliseconds once parsed. */
import { z } from 'zod';
import { duration } from './durations.ts';

const target = z
  .string()
  .regex(/^[^/\s]+\/\S+$/, 'Write PROVIDER/MODEL: openai/gpt-5, local/qwen3:8b')
  .describe('PROVIDER/MODEL: a name of the providers section (or `local`), and that provider’s own model name');

const targetSettings = z.strictObject({
  to: target,
  weight: z.number().nonnegative().default(1).describe('Share of the requests, for strategy weighted'),
  tags: z.array(z.string()).default([]).describe('Requests with one of these tags (x-viaduct-tags) go here'),
});

const percent = z.number().min(0).max(100);

/** USD per million tokens. */
const maxPrice = z.strictObject({
  input: z.number().nonnegative().optional(),
  output: z.number().nonnegative().optional(),
});

export const strategies = ['ordered', 'weighted', 'latency', 'cost', 'least-busy'] as const;

const settings = z.strictObject({
  targets: z
    .array(z.union([target.transform((to) => ({ to, weight: 1, tags: [] as string[] })), targetSettings]))
    .min(1, 'A model needs at least one target'),
  strategy: z.enum(strategies).default('ordered'),
  timeout: z
    .strictObject({
      first_token: duration()
        .optional()
        .describe('Until the first content of an answer; then the next target is tried'),
      idle: duration().optional().describe('Between two pieces of a stream'),
      total: duration().optional().describe('The whole call, all attempts together'),
    })
    .prefault({}),
  retries: z
    .number()
    .int()
    .min(0)
    .max(10)
    .default(2)
    .describe('How often to go through the targets again after faults that may pass'),
  overflow: z
    .strictObject({
      queue: z.number().int().nonnegative().optional().describe('Go elsewhere when so many requests wait'),
      wait: duration().optional().describe('Go elsewhere when the wait would be this long'),
    })
    .optional()
    .describe('When a local target counts as full'),
  keep_content: duration().optional().describe('Keep prompts and answers in the log for so long; absent: not at all'),
  privacy: z.literal('local').optional().describe('Never leaves this machine'),
  max_price: maxPrice.optional().describe('USD per million tokens; dearer targets are left out'),
  content_filter_fallback: z.boolean().default(false).describe('Try the next target when a content filter refuses'),
  shadow: z
    .strictObject({ to: target, percent })
    .optional()
    .describe('Copy some requests there; the answers are thrown away'),
  canary: z.strictObject({ to: target, percent }).optional().describe('Send some requests there first'),
});

/** `fast: [local/a, openai/b]` is short for `fast: { targets: [local/a, openai/b] }`. */
export const modelSettings = z.union([
  settings,
  settings.shape.targets.transform((targets) => settings.parse({ targets })),
]);

export type ModelSettings = z.infer<typeof settings>;

const byDefault = settings.parse({ targets: ['provider/model'] });

/** What a name that is not configured gets: everything by default, one target. The name is the client's: it may hold anything. */
export const plainRoute = (to: string): ModelSettings => ({ ...byDefault, targets: [{ to, weight: 1, tags: [] }] });
