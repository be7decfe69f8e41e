/** The sources that an OpenAI-shaped upstream names → citations. */
import type { ChatEvent, Citation } from '../../core/chat.ts';
import type { Json } from '../../core/json.ts';
import { codePoints, createOnce, decodeUrlCitation } from '../citations.ts';
import { list, object, text } from '../read.ts';

/**
 * Two ways of naming them: `annotations` of a message (OpenAI, OpenRouter), and lists beside the choices (`citations` of Perplexity and Grok,
 * `search_results` of Perplexity), in which case the text has their numbers in brackets or nothing. Lists are repeated in every chunk.
 */
export function createSources() {
  const once = createOnce();
  let listed: Citation[] = [];

  return {
    /** `annotations` of a message or a delta. Other kinds than pages (files that a parser read, …) are passed over. */
    annotations: (wire: Json): ChatEvent[] =>
      once.events(
        list(wire).flatMap((item) => {
          const annotation = object(item);
          const nested = annotation['url_citation'];
          return decodeUrlCitation(nested ? object(nested) : annotation) ?? [];
        }),
      ),

    /** The lists beside the choices. */
    list(citations: Json | undefined, results: Json | undefined): void {
      const found = new Map(
        list(results).flatMap((result) => {
          const { url, title, snippet } = object(result);
          const source = decodeUrlCitation({ url: url ?? null, title: title ?? null, content: snippet ?? null });
          return source?.url ? [[source.url, source] as const] : [];
        }),
      );
      const urls = list(citations).map((entry) => text(entry) || text(object(entry)['url']));
      const named = urls.map((url): Citation => found.get(url) ?? { url });
      listed = named.length > 0 ? named : [...found.values()];
    },

    /** What only the lists have named, when the answer is whole: at each `[2]` in it, else for no words in particular. */
    end(answer: string): ChatEvent[] {
      if (listed.length === 0 || once.any()) return [];
      const placed: Citation[] = [];
      const marked = new Set<Citation>();
      for (const { 0: mark, 1: number, index } of answer.matchAll(/\[(\d{1,3})\]/g)) {
        const source = listed[Number(number) - 1];
        if (!source?.url) continue;
        const start = codePoints(answer.slice(0, index));
        placed.push({ ...source, span: { start, end: start + mark.length } });
        marked.add(source);
      }
      return once.events([...placed, ...listed.filter((source) => source.url && !marked.has(source))]);
    },
  };
}
