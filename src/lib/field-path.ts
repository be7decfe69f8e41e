/** Names of request fields, as errors carry them in `param`. */

/** `['messages', 0, 'content']` → `messages[0].content`: OpenAI's way, and the one used inside. */
export function fieldPath(path: readonly PropertyKey[]): string {
  return path.reduce<string>(
    (text, key) => (typeof key === 'number' ? `${text}[${key}]` : text ? `${text}.${String(key)}` : String(key)),
    '',
  );
}

/** `messages[0].content` → `messages.0.content`: Anthropic's way. */
export const dottedPath = (param: string): string => param.replace(/\[(\d+)\]/g, '.$1');
