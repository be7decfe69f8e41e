/** Token counts. Anthropic counts cached prompt tokens *beside* `input_tokens`; our `input` is the whole prompt. */
import type { JsonObject } from '../../core/json.ts';
import type { Usage } from '../../core/usage.ts';
import { count, list, object } from '../read.ts';

/**
 * Usage block → Usage. A count that is missing is 0.
 * Source: https://docs.anthropic.com/en/api/messages#response-usage
 */
export function decodeUsage(wire: JsonObject): Usage {
  // What compaction read and wrote is billed, and not in the counts of the message.
  const billed = [
    wire,
    ...list(wire['iterations'])
      .map(object)
      .filter(({ type }) => type === 'compaction'),
  ];
  const sum = (name: string) => billed.reduce((total, counts) => total + count(counts[name]), 0);
  const cacheRead = sum('cache_read_input_tokens');
  const cacheWrite = sum('cache_creation_input_tokens');
  const reasoning = count(object(wire['output_tokens_details'])['thinking_tokens']);
  return {
    input: sum('input_tokens') + cacheRead + cacheWrite,
    output: sum('output_tokens'),
    ...(cacheRead > 0 && { cacheRead }),
    ...(cacheWrite > 0 && { cacheWrite }),
    ...(reasoning > 0 && { reasoning }),
  };
}

/** Usage → usage block. */
export function encodeUsage({ input, output, cacheRead = 0, cacheWrite = 0, reasoning = 0 }: Usage): JsonObject {
  return {
    input_tokens: Math.max(0, input - cacheRead - cacheWrite),
    cache_creation_input_tokens: cacheWrite,
    cache_read_input_tokens: cacheRead,
    output_tokens: output,
    ...(reasoning > 0 && { output_tokens_details: { thinking_tokens: reasoning } }),
  };
}

/** Later counts over earlier ones; a count that a later block leaves out or nulls keeps its value. */
export function mergeUsage(earlier: JsonObject, later: JsonObject): JsonObject {
  const merged = { ...earlier };
  for (const [name, value] of Object.entries(later)) if (value !== null) merged[name] = value;
  return merged;
}
