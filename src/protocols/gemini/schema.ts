/**
 * JSON Schema → what Gemini reads of it. It refuses a whole request for one reference that it cannot follow ("reference to undefined schema")
 * or that has other fields beside it: whatever a schema refers to within itself is written out.
 */
import type { Json, JsonObject } from '../../core/json.ts';
import { isObject } from '../read.ts';

/** What written-out references may add, so that no small schema becomes a huge one. */
const mostNodes = 20_000;

/** The same schema without references; one to a part that it is itself in, which would never end, becomes a value of that part's type. */
export function withoutReferences(root: JsonObject): JsonObject {
  const { $schema: _, ...schema } = root;
  if (!refers(schema)) return schema;
  let left = mostNodes;

  const write = (value: Json, within: string[]): Json => {
    if (within.length > 0) left -= 1;
    if (Array.isArray(value)) return value.map((each) => write(each, within));
    if (!isObject(value)) return value;
    const { $ref: ref, ...beside } = value;
    const target = typeof ref === 'string' ? find(schema, ref) : undefined;
    if (typeof ref !== 'string' || !target) return writeFields(value, within);
    const ends = within.includes(ref) || left <= 0;
    const referred = ends ? typeOf(target) : (write(target, [...within, ref]) as JsonObject);
    return { ...referred, ...writeFields(beside, within) };
  };
  const writeFields = (fields: JsonObject, within: string[]) =>
    Object.fromEntries(Object.entries(fields).map(([key, value]) => [key, write(value, within)]));

  const { $defs, definitions, ...body } = schema;
  const written = write(body, []) as JsonObject;
  // A reference that leads nowhere stays as it was, with all that it may mean.
  return refers(written) ? { ...written, ...($defs && { $defs }), ...(definitions && { definitions }) } : written;
}

const refers = (value: Json): boolean =>
  Array.isArray(value)
    ? value.some(refers)
    : isObject(value) && (typeof value['$ref'] === 'string' || Object.values(value).some(refers));

const typeOf = ({ type }: JsonObject): JsonObject => ({ type: type ?? 'object' });

/** `#/$defs/Name` → that part of the schema. */
function find(schema: JsonObject, ref: string): JsonObject | undefined {
  if (ref === '#') return schema;
  if (!ref.startsWith('#/')) return undefined;
  let node: Json | undefined = schema;
  for (const escaped of ref.slice(2).split('/')) {
    const key = named(escaped);
    if (Array.isArray(node)) node = node[Number(key)];
    else node = isObject(node) && Object.hasOwn(node, key) ? node[key] : undefined;
  }
  return isObject(node) ? node : undefined;
}

function named(escaped: string): string {
  const plain = escaped.replaceAll('~1', '/').replaceAll('~0', '~');
  try {
    return decodeURIComponent(plain);
  } catch {
    return plain;
  }
}
