/** Sources of an answer, as blocks of text carry them. Source: https://docs.anthropic.com/en/docs/build-with-claude/citations */
import type { Citation } from '../../core/chat.ts';
import type { Json, JsonObject } from '../../core/json.ts';
import { decodeCitedSource, stringIndex } from '../citations.ts';
import { count, object, text } from '../read.ts';

type Place = NonNullable<Citation['place']>;

/** By type: what is counted, and in which fields. */
const places: { type: string; in: Place['in']; index: string; start: string; end: string }[] = [
  {
    type: 'char_location',
    in: 'characters',
    index: 'document_index',
    start: 'start_char_index',
    end: 'end_char_index',
  },
  {
    type: 'page_location',
    in: 'pages',
    index: 'document_index',
    start: 'start_page_number',
    end: 'end_page_number',
  },
  {
    type: 'content_block_location',
    in: 'blocks',
    index: 'document_index',
    start: 'start_block_index',
    end: 'end_block_index',
  },
  {
    type: 'search_result_location',
    in: 'search-result',
    index: 'search_result_index',
    start: 'start_block_index',
    end: 'end_block_index',
  },
];

/**
 * The `encrypted_index` of a page that another provider named. Anthropic wants its own back, and refuses others': by this mark they are taken
 * out again, see foreign.ts.
 */
const foreignIndex = 'viaduct';

/** An entry of `citations`, or of a `citations_delta`, → citation of the words in `span`; undefined when it names no source. */
export function decodeCitation(wire: JsonObject, span: Citation['span']): Citation | undefined {
  const place = places.find(({ type }) => type === wire['type']);
  return decodeCitedSource(
    {
      url: text(wire['url']),
      title: text(wire['title']) || text(wire['document_title']),
      source: text(wire['source']),
      quote: text(wire['cited_text']),
    },
    span,
    place && {
      in: place.in,
      index: count(wire[place.index]),
      start: count(wire[place.start]),
      end: count(wire[place.end]),
    },
  );
}

/** Citation → entry of `citations`; undefined for a source that is neither a page nor a place in what the request gave. */
export function encodeCitation({ url, title, quote = '', place }: Citation): JsonObject | undefined {
  if (!place)
    return url
      ? {
          type: 'web_search_result_location',
          url,
          title: title ?? null,
          cited_text: quote,
          encrypted_index: foreignIndex,
        }
      : undefined;
  const shape = places.find((known) => known.in === place.in);
  if (!shape) return undefined;
  const { type, index, start, end } = shape;
  return {
    type,
    cited_text: quote,
    [index]: place.index,
    [start]: place.start,
    [end]: place.end,
    ...(place.in === 'search-result'
      ? { source: url ?? title ?? '', title: title ?? null }
      : { document_title: title ?? null, file_id: null }),
  };
}

type Piece = { text: string; citations: JsonObject[] };

/**
 * Text → pieces, cut where what is cited begins and ends; pieces that overlap are one. `base`: where the text begins in the whole answer.
 * White space alone makes no piece, as the API takes no such block back.
 */
export function citedPieces(said: string, base: number, citations: readonly Citation[]): Piece[] {
  const pieces: Piece[] = [];
  let at = 0;
  const add = (end: number, cited: JsonObject[]) => {
    const piece = said.slice(at, end);
    const last = pieces.at(-1);
    at = Math.max(at, end);
    if (last && cited.length === 0 && piece.trim() === '') last.text += piece;
    else if (piece !== '') pieces.push({ text: piece, citations: cited });
  };
  for (const { start, end, cited } of rangesOf(said, base, citations)) {
    if (said.slice(at, start).trim() !== '' || pieces.length > 0) add(start, []);
    add(end, cited);
  }
  add(said.length, []);
  return pieces;
}

type Range = { start: number; end: number; cited: JsonObject[] };

function rangesOf(said: string, base: number, citations: readonly Citation[]): Range[] {
  const found = citations.flatMap((citation): Range[] => {
    const { span } = citation;
    if (!span || span.end <= base) return [];
    const start = stringIndex(said, span.start - base);
    const end = stringIndex(said, span.end - base);
    const wire = encodeCitation(citation);
    return wire && start < end ? [{ start, end, cited: [wire] }] : [];
  });
  const ranges: Range[] = [];
  for (const range of found.sort((a, b) => a.start - b.start)) {
    const last = ranges.at(-1);
    if (last && range.start < last.end) {
      last.end = Math.max(last.end, range.end);
      last.cited.push(...range.cited);
    } else ranges.push(range);
  }
  return ranges;
}

/** Whether an entry of `citations` is one that we made of another provider's. */
export const isForeignCitation = (wire: Json): boolean => object(wire)['encrypted_index'] === foreignIndex;
