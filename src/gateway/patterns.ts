/** Names with a trailing star: `openai/*` stands for every name that begins so. */

export const matches = (pattern: string, name: string) =>
  pattern.endsWith('*') ? name.startsWith(pattern.slice(0, -1)) : pattern === name;

/** True when no pattern list is given, or one of it matches. */
export const allowed = (patterns: string[] | undefined, name: string) =>
  patterns === undefined || patterns.some((pattern) => matches(pattern, name));

/** What both lists allow. Undefined allows everything, an empty list nothing. */
export function intersect(one: string[] | undefined, other: string[] | undefined): string[] | undefined {
  if (!one || !other) return one ?? other;
  const both = [
    ...one.filter((pattern) => other.some((wider) => matches(wider, pattern))),
    ...other.filter((pattern) => one.some((wider) => matches(wider, pattern))),
  ];
  return [...new Set(both)];
}
