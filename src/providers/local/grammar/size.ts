/** Limits that keep a schema from filling the stack or the memory. */
import type { Json } from '../../../core/json.ts';
import { refuse } from './schema-error.ts';

export const maxDepth = 64;
const maxSchemaNodes = 20_000;
/** Characters. */
const maxGrammar = 400_000;

/** Counts without recursion, so that a schema nested thousands deep ends in an error and not in a full stack. */
export function checkSize(schema: Json, path: string) {
  const stack: [Json, number][] = [[schema, 0]];
  let nodes = 0;
  for (let next = stack.pop(); next; next = stack.pop()) {
    const [value, depth] = next;
    if (typeof value !== 'object' || value === null) continue;
    if (depth > maxDepth * 2) refuse(path, `The schema is nested more than ${maxDepth} levels deep`);
    if (++nodes > maxSchemaNodes) refuse(path, `The schema has more than ${maxSchemaNodes} parts`);
    for (const child of Object.values(value)) stack.push([child, depth + 1]);
  }
}

/** `size` in characters, as `Rules.size` tells it. */
export function checkGrammarSize(size: number, path: string) {
  if (size > maxGrammar) refuse(path, 'The schema is too large to be enforced; make it smaller');
}
