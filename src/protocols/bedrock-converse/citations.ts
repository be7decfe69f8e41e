/**
 * Which of the answer's words have a source, and what it is → citations. Pure.
 * Source: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Citation.html, …/API_runtime_CitationLocation.html (read 2026-11)
 */
import type { ChatEvent, Citation } from '../../core/chat.ts';
import type { JsonObject } from '../../core/json.ts';
import { codePoints, decodeCitedSource } from '../citations.ts';
import { count, list, object, text } from '../read.ts';

type Span = NonNullable<Citation['span']>;

/** Follows an answer block by block: a citation is for the text of its block, or for the block before where its own says nothing (Nova). */
export function createCitedBlocks() {
  /** Characters of text so far, and where the open block begins among them. */
  let spoken = 0;
  let from = 0;
  let before: Span | undefined;
  let sources: JsonObject[] = [];

  return {
    say(said: string): ChatEvent {
      const begins = spoken > 0 && from === spoken;
      spoken += codePoints(said);
      return begins ? { type: 'text', text: said, begins } : { type: 'text', text: said };
    },

    cite(source: JsonObject): void {
      sources.push(source);
    },

    /** The block has ended. */
    close(): ChatEvent[] {
      const span = from < spoken ? { start: from, end: spoken } : before;
      from = spoken;
      before = span;
      if (sources.length === 0) return [];
      const ended = sources;
      sources = [];
      return ended.flatMap((source): ChatEvent[] => {
        const citation = decodeCitation(source, span);
        return citation ? [{ type: 'citation', citation }] : [];
      });
    },
  };
}

const places: [field: string, place: NonNullable<Citation['place']>['in'], index: string][] = [
  ['documentChar', 'characters', 'documentIndex'],
  ['documentPage', 'pages', 'documentIndex'],
  ['documentChunk', 'blocks', 'documentIndex'],
  ['searchResultLocation', 'search-result', 'searchResultIndex'],
];

function decodeCitation(wire: JsonObject, span: Span | undefined): Citation | undefined {
  const location = object(wire['location']);
  const { url, domain } = object(location['web']);
  const place = places.find(([field]) => location[field]);
  return decodeCitedSource(
    {
      url: text(url),
      title: text(wire['title']) || text(domain),
      source: text(wire['source']),
      quote: list(wire['sourceContent'])
        .map((piece) => text(object(piece)['text']))
        .join(''),
    },
    span,
    place && decodePlace(object(location[place[0]]), place[1], place[2]),
  );
}

const decodePlace = (
  wire: JsonObject,
  where: NonNullable<Citation['place']>['in'],
  index: string,
): NonNullable<Citation['place']> => ({
  in: where,
  index: count(wire[index]),
  start: count(wire['start']),
  end: count(wire['end']),
});
