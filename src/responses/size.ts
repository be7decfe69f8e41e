/** Guesses of token counts, where asking the model would cost more than a wrong guess. */
import type { Item } from '../protocols/openai-responses.ts';

export const charactersPerToken = 4;
const tokensPerPicture = 1000;
const dataUrl = /"data:[^"]{256,}"/g;

/** About how many tokens these items take. */
export const estimateTokens = (items: readonly Item[]): number =>
  items.reduce((sum, item) => sum + itemTokens(item), 0);

function itemTokens(item: Item): number {
  const json = JSON.stringify(item);
  const text = json.includes('"data:') ? json.replace(dataUrl, '') : json;
  const pictures = text === json ? 0 : (json.match(dataUrl)?.length ?? 0);
  // Ids and field names are not read by the model.
  return Math.ceil(Math.max(text.length - 120, 16) / charactersPerToken) + pictures * tokensPerPicture;
}

/** Characters of the items as JSON. */
export const charactersOf = (items: readonly Item[]): number =>
  items.reduce((sum, item) => sum + JSON.stringify(item).length, 0);
