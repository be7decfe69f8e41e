/** Pictures that models make, as protocols write them. */
import type { Source } from '../core/chat.ts';

/** An address, or the picture itself as a data URL. */
export const pictureUrl = (source: Source): string =>
  'url' in source ? source.url : `data:${source.mediaType};base64,${source.data}`;

/** The way back. */
export function pictureSource(url: string): Source {
  const head = /^data:([^;,]*)[^,]{0,100};base64,/.exec(url.slice(0, 300));
  return head ? { data: url.slice(head[0].length), mediaType: head[1] || 'image/png' } : { url };
}

/** Where a protocol has no place for pictures in an answer, its clients render Markdown. */
export const pictureText = (source: Source): string => `![picture](${pictureUrl(source)})`;

/** Told by the first letters of its base64, where nothing else tells. */
export function mediaTypeOf(data: string): string {
  if (data.startsWith('/9j/')) return 'image/jpeg';
  return data.startsWith('UklGR') ? 'image/webp' : 'image/png';
}
