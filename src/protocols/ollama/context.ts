/**
 * The `context` of /api/generate: integers that a client sends back to go on. Ollama's are tokens of one model; ours are the
 * conversation itself, packed, so that it works with every model and is rendered by the model's own template.
 */
import { deflateSync, inflateSync } from 'node:zlib';
import { z } from 'zod';
import type { Message } from '../../core/chat.ts';
import { invalid } from '../validate.ts';

const largest = 64 * 2 ** 20;

/** What is kept of a message: pictures and calls are not, as with Ollama. */
const line = z.tuple([z.enum(['system', 'user', 'assistant']), z.string()]);
type Line = z.infer<typeof line>;

/** Messages and the answer to them → integers: the byte count, then three bytes to each. */
export function sealContext(messages: Message[], answer: string): number[] {
  const lines: Line[] = messages.flatMap(({ role, parts }): Line[] =>
    role === 'tool' ? [] : [[role === 'developer' ? 'system' : role, textOf(parts)]],
  );
  lines.push(['assistant', answer]);
  const bytes = deflateSync(JSON.stringify(lines));
  const integers = [bytes.length];
  for (let at = 0; at < bytes.length; at += 3)
    integers.push(((bytes[at] ?? 0) << 16) | ((bytes[at + 1] ?? 0) << 8) | (bytes[at + 2] ?? 0));
  return integers;
}

const textOf = (parts: Message['parts']) => parts.map((part) => (part.type === 'text' ? part.text : '')).join('');

/** The way back. Throws invalid_request for integers of another make: tokens that Ollama itself gave. */
export function openContext(integers: number[]): Message[] {
  const [length = 0, ...groups] = integers;
  if (integers.length === 0) return [];
  const bytes = Buffer.alloc(groups.length * 3);
  for (const [index, group] of groups.entries()) {
    bytes[index * 3] = group >> 16;
    bytes[index * 3 + 1] = group >> 8;
    bytes[index * 3 + 2] = group;
  }
  try {
    const text = inflateSync(bytes.subarray(0, length), { maxOutputLength: largest }).toString();
    return z
      .array(line)
      .parse(JSON.parse(text))
      .map(([role, said]) => ({ role, parts: [{ type: 'text', text: said }] }));
  } catch {
    throw invalid('context', 'send back what this server gave; the tokens of another server mean nothing here');
  }
}
