/** What the protocols' citations share: counting characters, and the address of a page as OpenAI writes it. */
import type { ChatEvent, Citation } from '../core/chat.ts';
import type { JsonObject } from '../core/json.ts';
import { text } from './read.ts';

/** Characters of `said` as people and Python count them: a pair of surrogates is one. */
export function codePoints(said: string): number {
  let points = said.length;
  // Only the first of a pair is left out, so that one that is cut between two pieces counts once as well.
  for (let at = 0; at < said.length; at++) if ((said.charCodeAt(at) & 0xfc00) === 0xd800) points--;
  return points;
}

/** Where in a JavaScript string the character number `points` begins; its end when it has fewer. */
export function stringIndex(said: string, points: number): number {
  let at = 0;
  for (let left = points; left > 0 && at < said.length; left--)
    at += (said.charCodeAt(at) & 0xfc00) === 0xd800 && at + 1 < said.length ? 2 : 1;
  return at;
}

/**
 * What Anthropic and Bedrock say of a source → citation; undefined when it names none. `source` is an address, or else what the source is
 * called where it has no title.
 */
export function decodeCitedSource(
  { url, title, source, quote }: { url: string; title: string; source: string; quote: string },
  span: Citation['span'],
  place: Citation['place'],
): Citation | undefined {
  const address = url || (/^https?:/.test(source) ? source : '');
  const name = title || (address ? '' : source);
  if (!address && !name && !place) return undefined;
  return {
    ...(span && { span }),
    ...(address && { url: address }),
    ...(name && { title: name }),
    ...(quote && { quote }),
    ...(place && { place }),
  };
}

/**
 * `url_citation` of chats and of the Responses API → citation; undefined when it names no page. `base`: where the text that it counts from
 * begins in the whole answer. xAI and OpenRouter leave out where, or both title and where.
 */
export function decodeUrlCitation(wire: JsonObject, base = 0): Citation | undefined {
  const { start_index: start, end_index: end } = wire;
  const url = text(wire['url']);
  if (!url) return undefined;
  const title = text(wire['title']);
  const quote = text(wire['content']);
  return {
    ...(typeof start === 'number' &&
      typeof end === 'number' &&
      end > start && { span: { start: start + base, end: end + base } }),
    url,
    ...(title && { title }),
    ...(quote && { quote }),
  };
}

/**
 * Citation → the fields of a `url_citation`; undefined when it has no address, which is all that OpenAI's shape can name. No words in particular
 * are an empty span at the start, as OpenAI gives it. A page without a title is called by its address.
 */
export function encodeUrlCitation({ span, url, title }: Citation, base = 0): JsonObject | undefined {
  if (!url) return undefined;
  const placed = span && span.end > base ? span : { start: base, end: base };
  return {
    url,
    title: title ?? url,
    start_index: Math.max(0, placed.start - base),
    end_index: placed.end - base,
  };
}

/** Providers that repeat their sources as an answer grows: each as an event once. */
export function createOnce() {
  const seen = new Set<string>();
  return {
    any: () => seen.size > 0,
    events: (citations: readonly Citation[]): ChatEvent[] =>
      citations.flatMap((citation): ChatEvent[] => {
        const { span, url } = citation;
        const key = `${span?.start} ${span?.end} ${url}`;
        if (seen.has(key)) return [];
        seen.add(key);
        return [{ type: 'citation', citation }];
      }),
  };
}
