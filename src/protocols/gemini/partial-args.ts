/**
 * Arguments of a call that come in pieces, each with its place: `{jsonPath: "$.items[0].name", stringValue: "ap"}`.
 * Source: https://cloud.google.com/vertex-ai/generative-ai/docs/reference/rest/v1/Content#PartialArg (read 2026-11)
 */
import type { Json, JsonObject } from '../../core/json.ts';
import { isObject, text } from '../read.ts';

type Key = string | number;

/** No prototype, so that no path reaches one. */
export const noArguments = (): JsonObject => Object.create(null) as JsonObject;

/** Puts a piece into its place; text goes to the end of what is there. A piece without a place is passed over. */
export function addPiece(args: JsonObject, piece: JsonObject): void {
  const path = keysOf(text(piece['jsonPath']));
  const last = path.pop();
  const value = givenValue(piece);
  if (last === undefined || value === undefined) return;
  let node: Json | undefined = args;
  for (const [at, key] of path.entries()) {
    const next: Json | undefined = child(node, key);
    if (next !== undefined) node = next;
    else node = put(node, key, typeof (path[at + 1] ?? last) === 'number' ? [] : noArguments());
    if (node === undefined) return;
  }
  const before = child(node, last);
  put(node, last, typeof before === 'string' && typeof value === 'string' ? before + value : value);
}

function givenValue(piece: JsonObject): Json | undefined {
  if ('nullValue' in piece) return null;
  return piece['stringValue'] ?? piece['numberValue'] ?? piece['boolValue'];
}

function keysOf(path: string): Key[] {
  return [...path.matchAll(/\.([^.[\]]+)|\[(\d+)\]|\[(['"])(.*?)\3\]/g)].map(([, name, index, , quoted]) =>
    index === undefined ? (name ?? quoted ?? '') : Number(index),
  );
}

function child(node: Json | undefined, key: Key): Json | undefined {
  if (Array.isArray(node)) return typeof key === 'number' ? node[key] : undefined;
  return isObject(node) && typeof key === 'string' ? node[key] : undefined;
}

/** The value, where it has found its place. Lists grow item by item. */
function put(node: Json | undefined, key: Key, value: Json): Json | undefined {
  if (Array.isArray(node)) {
    if (typeof key !== 'number' || key > node.length) return undefined;
    node[key] = value;
    return value;
  }
  if (!isObject(node) || typeof key !== 'string') return undefined;
  node[key] = value;
  return value;
}
