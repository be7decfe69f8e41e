/** Values of which the schema says nothing but the type. */
import { type Context, piecesFor } from './context.ts';
import { numberGrammar } from './number.ts';
import { freeKey } from './object-keys.ts';
import { anyOf, repeat } from './rules.ts';

export const allTypes = ['object', 'array', 'string', 'number', 'boolean', 'null'];

/** Any value of these types, nested as deep as the budget allows. */
export function anyGrammar(budget: number, types: string[], context: Context): string {
  const { rules, comma, blank, freeText } = context;
  const magnitude = Math.floor(Math.log2(Math.max(budget, 1)));
  const inner = magnitude >= 4 ? rules.add('any', anyGrammar(2 ** (magnitude - 2), allTypes, context)) : undefined;
  const count = Math.min(1000, 2 ** Math.max(2, magnitude - 3));
  const text = freeText(piecesFor(2 ** magnitude));
  const options = types.map((type) => {
    if (type === 'string') return text;
    if (type === 'boolean') return '"true" | "false"';
    if (type === 'null') return '"null"';
    if (type === 'number') return rules.add('number', numberGrammar({}) as string);
    if (!inner) return type === 'object' ? '"{}"' : '"[]"';
    const entry = type === 'object' ? rules.add('pair', `${freeKey([], rules)} ":" ${blank} ${inner}`) : inner;
    const list = `(${entry} ${repeat(rules, rules.add('more', `${comma} ${entry}`), 0, count)})?`;
    return type === 'object' ? `"{" ${list} "}"` : `"[" ${list} "]"`;
  });
  return rules.add('value', anyOf(options));
}
