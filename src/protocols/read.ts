/** Reading what a provider sent, which may be anything: a value of the wrong type counts as absent. */
import type { Json, JsonObject } from '../core/json.ts';

export const isObject = (value: unknown): value is JsonObject =>
  value !== null && typeof value === 'object' && !Array.isArray(value);

export const object = (value: Json | undefined): JsonObject =>
  value !== null && typeof value === 'object' && !Array.isArray(value) ? value : {};

export const list = (value: Json | undefined): Json[] => (Array.isArray(value) ? value : []);

export const text = (value: Json | undefined): string => (typeof value === 'string' ? value : '');

/** The name of a called tool, without the marks that gpt-oss leaves in it at some servers: `find<|channel|>commentary`. */
export const toolName = (value: Json | undefined): string => text(value).split('<|', 1)[0] ?? '';

/** A count of tokens or milliseconds: not negative, and 0 when absent. */
export const count = (value: Json | undefined): number =>
  typeof value === 'number' && Number.isFinite(value) && value > 0 ? value : 0;

/** JSON text → object; undefined when it is anything else. */
export function parseObject(json: string): JsonObject | undefined {
  try {
    const value = JSON.parse(json) as Json;
    return value !== null && typeof value === 'object' && !Array.isArray(value) ? value : undefined;
  } catch {
    return undefined;
  }
}
