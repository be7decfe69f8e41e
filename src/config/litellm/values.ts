/** Values of a LiteLLM file as ours. */

export type Fields = Record<string, unknown>;

export const fields = (value: unknown): Fields =>
  value !== null && typeof value === 'object' && !Array.isArray(value) ? (value as Fields) : {};

/** `os.environ/NAME` → `${NAME}`. */
export const variable = (value: unknown): unknown =>
  typeof value === 'string' ? value.replace(/^os\.environ\/(\w+)$/, '$${$1}') : (value ?? undefined);

export const number = (value: unknown): number | undefined => {
  const read = typeof value === 'string' ? Number(value) : value;
  return typeof read === 'number' && Number.isFinite(read) ? read : undefined;
};
export const seconds = (value: unknown): string | undefined => {
  const read = number(value);
  return read === undefined ? undefined : read < 1 ? `${Math.round(read * 1000)}ms` : `${read}s`;
};

export const defined = (object: Fields): Fields =>
  Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined));

export function nonEmpty(object: Fields): Fields | undefined {
  const left = defined(object);
  return Object.keys(left).length > 0 ? left : undefined;
}
