/** Token counts of OpenAI-shaped upstreams. Source: https://platform.openai.com/docs/api-reference/chat/object#chat/object-usage */
import type { JsonObject } from '../../core/json.ts';
import type { Usage } from '../../core/usage.ts';
import { object } from '../read.ts';

const numberOf = (value: unknown) => (typeof value === 'number' ? value : undefined);

/**
 * `usage` → counts, in tokens. Cached prompt tokens have five names among providers. xAI counts thoughts beside
 * `completion_tokens`, which its total gives away; ours are always inside.
 */
export function decodeUsage(wire: JsonObject): Usage {
  const promptDetails = object(wire['prompt_tokens_details']);
  const outputDetails = object(wire['completion_tokens_details']);
  const input = numberOf(wire['prompt_tokens']) ?? 0;
  const reasoning = numberOf(outputDetails['reasoning_tokens']) ?? 0;
  const cacheRead =
    numberOf(promptDetails['cached_tokens']) ??
    numberOf(wire['prompt_cache_hit_tokens']) ??
    numberOf(wire['cached_tokens']) ??
    numberOf(wire['num_cached_tokens']) ??
    numberOf(wire['cache_read_input_tokens']) ??
    0;
  const cacheWrite =
    numberOf(promptDetails['cache_write_tokens']) ??
    numberOf(promptDetails['cache_creation_input_tokens']) ??
    numberOf(wire['cache_creation_input_tokens']) ??
    0;
  const image = numberOf(promptDetails['image_tokens']) ?? 0;
  const cost = numberOf(wire['cost']); // OpenRouter
  let output = numberOf(wire['completion_tokens']) ?? 0;
  if (reasoning > 0 && numberOf(wire['total_tokens']) === input + output + reasoning) output += reasoning;
  return {
    input,
    output,
    ...(cacheRead > 0 && { cacheRead }),
    ...(cacheWrite > 0 && { cacheWrite }),
    ...(reasoning > 0 && { reasoning }),
    ...(image > 0 && { image }),
    ...(cost !== undefined && { cost }),
  };
}
