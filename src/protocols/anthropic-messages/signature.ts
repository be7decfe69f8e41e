/**
 * Thoughts of other providers pass through this door too. Their signature travels inside ours, marked with where it
 * belongs, so that it never reaches Anthropic, nor Anthropic's another provider.
 */
import type { Protocol, ReasoningPart } from '../../core/chat.ts';

type Seal = Pick<ReasoningPart, 'id' | 'signature' | 'redacted' | 'origin'>;

const mark = 'viaduct:';

/** What a reasoning part carries besides its text → the `signature` of a thinking block; empty when there is none. */
export function sealSignature({ id, signature, redacted, origin }: Seal): string {
  if (origin === 'anthropic-messages') return signature ?? '';
  if (id === undefined && signature === undefined && redacted === undefined) return '';
  return mark + Buffer.from(JSON.stringify({ id, signature, redacted, origin })).toString('base64url');
}

/** The way back. A signature without our mark is Anthropic's own. */
export function openSignature(sealed: string): Seal {
  if (sealed === '') return {};
  if (!sealed.startsWith(mark)) return { signature: sealed, origin: 'anthropic-messages' };
  try {
    const opened = JSON.parse(Buffer.from(sealed.slice(mark.length), 'base64url').toString()) as Record<
      string,
      unknown
    >;
    const part: Seal = {};
    if (typeof opened['id'] === 'string') part.id = opened['id'];
    if (typeof opened['signature'] === 'string') part.signature = opened['signature'];
    if (typeof opened['redacted'] === 'string') part.redacted = opened['redacted'];
    if (typeof opened['origin'] === 'string') part.origin = opened['origin'] as Protocol;
    return part;
  } catch {
    return {};
  }
}

/** Whether a thought's signature is one that Anthropic never made. */
export const isForeignSignature = (signature: unknown): boolean =>
  typeof signature === 'string' && signature.startsWith(mark);
