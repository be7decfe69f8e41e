/** Items of a conversation as text: for who summarises it, and to be kept beside the summary. */
import type { Item } from '../protocols/openai-responses.ts';
import { isCall, isUserMessage } from './items.ts';

/** The conversation as text, at most `room` characters: its beginning and its end where it is longer. */
export function transcript(summary: string, items: readonly Item[], room: number): string {
  const before = summary ? [`Summary of what was before: ${shorten(summary, Math.floor(room / 4))}`] : [];
  const said = items.flatMap((item) => {
    const text = textOf(item);
    return text === '' ? [] : [shorten(`${speaker(item)}: ${text}`, Math.max(200, Math.floor(room / 4)))];
  });
  const all = [...before, ...said].join('\n');
  if (all.length <= room) return all;
  const part = Math.floor(room / 3);
  return `${all.slice(0, part)}\n…\n${all.slice(-(room - part))}`;
}

/**
 * What the user asked for and what was called, a line each: small models forget in their summaries what these lines keep.
 * With `answers`, what the model said too, shorter.
 */
export function inShort(items: readonly Item[], answers: boolean): string[] {
  return items.flatMap((item) => {
    const text = textOf(item).trim();
    const wanted = isUserMessage(item) || isCall(item);
    if (text === '' || (!wanted && !(answers && item.type === 'message'))) return [];
    return [`- ${speaker(item)}: ${wanted ? text : shorten(text, shortest)}`];
  });
}

/** Characters that a line may have: as many as let all lines be kept. */
const lengths = [4000, 2000, 1000, 500, 250];
const shortest = 160;
/** Of all the room: what the first line may take, which says what it is all about. */
const firstShare = 0.4;

/** At most about `characters`. Where not all lines can be kept, those go that come after the first ones. */
export function within(characters: number, lines: readonly string[]): string[] {
  const [first, ...others] = lines;
  if (first === undefined) return [];
  const begin = shorten(first, Math.max(shortest, Math.floor(characters * firstShare)));
  let room = characters - begin.length;
  const fits = (length: number) => others.reduce((sum, line) => sum + Math.min(line.length, length), 0) <= room;
  const length = lengths.find(fits) ?? shortest;
  const short = others.map((line) => shorten(line, length));
  const early = short.slice(0, keptEarly);
  room -= early.join('').length;
  const newest: string[] = [];
  for (const line of short.slice(keptEarly).reverse()) {
    room -= line.length;
    if (room < 0) break;
    newest.unshift(line);
  }
  return [begin, ...early, ...newest];
}

const keptEarly = 2;

function speaker(item: Item): string {
  if (item.type === 'message') return item.role;
  return isCall(item) ? 'call' : 'result';
}

function textOf(item: Item): string {
  switch (item.type) {
    case 'message':
      return item.content
        .map((part) => ('text' in part ? part.text : part.type === 'refusal' ? part.refusal : `[${part.type}]`))
        .join(' ');
    case 'function_call':
      return `${item.name}(${item.arguments})`;
    case 'custom_tool_call':
      return `${item.name}(${item.input})`;
    case 'function_call_output':
    case 'custom_tool_call_output':
      return typeof item.output === 'string'
        ? item.output
        : item.output.map((part) => ('text' in part ? part.text : `[${part.type}]`)).join(' ');
    default:
      return '';
  }
}

/** The beginning and the end of a text that is longer. */
export function shorten(text: string, length: number): string {
  if (text.length <= length) return text;
  const end = Math.floor(length / 3);
  return `${text.slice(0, length - end - 1)}…${text.slice(-end)}`;
}
