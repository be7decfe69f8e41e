/** `anyOf` and `oneOf`. */
import { isObject, type Json, type JsonObject } from '../../../core/json.ts';
import { type Context, cost, type Place, smallBudget } from './context.ts';
import { excludes } from './excludes.ts';
import { asArray } from './keywords.ts';
import { anyOf } from './rules.ts';
import { refuse } from './schema-error.ts';

type Option = { schema: JsonObject; path: string };

/** Keywords beside `anyOf` that admit no less without them. */
const plainKeywords = ['description', 'title', 'discriminator', '$defs', 'default', '$schema', 'definitions'];

/** The schemas of which one must hold, each with the base's keywords merged in; undefined without such a keyword. */
export function alternatives(schema: JsonObject, path: string, context: Context): Option[] | undefined {
  for (const keyword of ['anyOf', 'oneOf'] as const) {
    const options = schema[keyword];
    if (!Array.isArray(options)) continue;
    const { [keyword]: _options, ...base } = schema;
    const whole = options.map((option, index) => withBase(option, base, `${path}.${keyword}[${index}]`));
    if (keyword === 'oneOf' && !exclusive(options, context))
      context.inexact(
        path,
        'oneOf',
        'needs alternatives that exclude each other by type or by a constant; use "anyOf"',
      );
    if (whole.length === 0) return refuse(`${path}.${keyword}`, `"${keyword}" is empty`);
    return whole;
  }
  return undefined;
}

function withBase(option: Json, base: JsonObject, path: string): Option {
  if (option === true) return { schema: base, path };
  if (!isObject(option)) return refuse(path, 'A schema must be an object');
  const plain = Object.keys(base).every((key) => plainKeywords.includes(key));
  return { schema: plain ? option : { ...base, allOf: [...(asArray(base['allOf']) ?? []), option] }, path };
}

function exclusive(options: Json[], context: Context): boolean {
  const views = options.map((option) => {
    const target =
      isObject(option) && typeof option['$ref'] === 'string' ? context.resolve(option['$ref'], '') : option;
    return isObject(target) ? target : {};
  });
  return views.every((a, i) => views.every((b, j) => i >= j || excludes(a, b)));
}

/** One of the options; near the end of the budget only of those that end soonest. */
export function chooseGrammar(options: Option[], place: Place, context: Context): string {
  const write = (some: Option[]) => anyOf(some.map(({ schema, path }) => context.visit(schema, { ...place, path })));
  const recursive = place.budget < smallBudget && place.stack.length > 0;
  if (!recursive || options.length === 1) return write(options);
  const costs = options.map((option) => cost(option.schema, context));
  const least = Math.min(...costs);
  return write(options.filter((_, i) => costs[i] === least));
}
