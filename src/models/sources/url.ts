/** A GGUF file at an address: its digest is known only when it is here. */
import { createHash } from 'node:crypto';
import { buildManifest } from '../build.ts';
import { fetchBlob, type PullContext } from '../pull-context.ts';
import { send } from '../transfer.ts';

/** `https://host/any/Model-Name.Q4_K_M.gguf`, also with a query. */
export const isGgufUrl = (text: string) => /^https?:\/\/[^?#]+\.gguf([?#]|$)/i.test(text);

/** The name that a file gets when nobody gives one: `model-name.q4_k_m`. */
export function nameFromUrl(url: string): string {
  const file = decodeURIComponent(new URL(url).pathname).split('/').at(-1) ?? '';
  return file
    .replace(/\.gguf$/i, '')
    .toLowerCase()
    .replace(/[^\w.-]+/g, '-')
    .replace(/^[^a-z0-9]+/, '')
    .slice(0, 80);
}

export async function pullFromUrl(address: string, context: PullContext): Promise<Buffer> {
  const { store, settings, hold, insecure } = context;
  const url = fileOfPage(new URL(address));
  const weights = await fetchBlob(context, {
    key: `url-${createHash('sha256').update(url).digest('hex')}`,
    digest: undefined,
    size: undefined,
    label: new URL(url).pathname.split('/').at(-1) ?? url,
    open: (range, signal) =>
      send(url, {
        signal,
        settings,
        insecure,
        headers: range ? { range: `bytes=${range.start}-${range.end - 1}` } : {},
      }),
  });
  return buildManifest(store, { weights }, hold);
}

/** Hugging Face's page about a file → the file. */
function fileOfPage(url: URL): string {
  if (/^(huggingface\.co|hf\.co)$/.test(url.hostname)) url.pathname = url.pathname.replace('/blob/', '/resolve/');
  return url.href;
}
