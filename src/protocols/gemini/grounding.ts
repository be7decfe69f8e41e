/**
 * The sources of an answer → citations. Pure.
 * Source: https://ai.google.dev/api/generate-content#GroundingMetadata, …#CitationMetadata (read 2026-11)
 */
import type { ChatEvent, Citation } from '../../core/chat.ts';
import type { JsonObject } from '../../core/json.ts';
import { codePoints, createOnce } from '../citations.ts';
import { count, list, object, text } from '../read.ts';

type Page = Pick<Citation, 'url' | 'title' | 'quote'>;

/** Reads what candidates say of their sources: a stream repeats it as it grows, mostly in its last message. */
export function createGrounding() {
  const once = createOnce();
  let pages: (Page | undefined)[] = [];

  return {
    /** `answer`: all text so far, that of this message included. */
    read({ groundingMetadata, citationMetadata }: JsonObject, answer: string): ChatEvent[] {
      const { groundingChunks, groundingSupports } = object(groundingMetadata);
      const { citationSources, citations } = object(citationMetadata);
      const chunks = list(groundingChunks);
      if (chunks.length > 0) pages = chunks.map((chunk) => pageOf(object(chunk)));
      const supported = list(groundingSupports).flatMap((support) => {
        const { segment, groundingChunkIndices } = object(support);
        const span = spanOf(object(segment), answer);
        return list(groundingChunkIndices).flatMap((index): Citation[] => {
          const page = pages[Number(index)];
          return page ? [{ ...(span && { span }), ...page }] : [];
        });
      });
      // Words that the model took over from somewhere: the Gemini API and Vertex name the list differently.
      const recited = [...list(citationSources), ...list(citations)].flatMap((source): Citation[] => {
        const { uri, title } = object(source);
        const span = spanOf(object(source), answer);
        return uri ? [{ ...(span && { span }), url: text(uri), ...(title && { title: text(title) }) }] : [];
      });
      return once.events([...supported, ...recited]);
    },

    /** Pages of an answer of which no words were named. */
    end: (): ChatEvent[] => (once.any() ? [] : once.events(pages.filter((page) => page !== undefined))),
  };
}

/** A page of the web, a place on a map, or a document of a store that has an address. */
function pageOf({ web, retrievedContext, maps }: JsonObject): Page | undefined {
  const { uri, title, text: quote } = object(web ?? retrievedContext ?? maps);
  if (!uri) return undefined;
  return { url: text(uri), ...(title && { title: text(title) }), ...(quote && { quote: text(quote) }) };
}

/**
 * Google counts bytes, from the start of the part that `partIndex` names or of the answer: which of them, the words tell, which it gives as
 * well. Undefined where they are not in the answer.
 */
function spanOf({ startIndex, endIndex, text: said }: JsonObject, answer: string): Citation['span'] {
  const words = text(said);
  const bytes = Buffer.from(answer);
  const from = count(startIndex);
  const direct = bytes.subarray(from, count(endIndex)).toString();
  if (direct !== '' && (words === '' || direct === words)) {
    const start = codePoints(bytes.subarray(0, from).toString());
    return { start, end: start + codePoints(direct) };
  }
  const at = words === '' ? -1 : answer.indexOf(words);
  if (at === -1) return undefined;
  const start = codePoints(answer.slice(0, at));
  return { start, end: start + codePoints(words) };
}
