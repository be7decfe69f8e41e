/**
 * What a client carries for us without being able to read or change it: thoughts and compacted conversations.
 * AES-256-GCM under a key derived from the server's secret; kind and owner are bound in, so that a sealed text is worth nothing
 * in another place or to another tenant.
 */
import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto';
import type { ReasoningPart } from '../core/chat.ts';
import { ViaductError } from '../core/errors.ts';
import { foreignReasoning, type OpenReasoning } from '../protocols/openai-responses.ts';

const prefix = 'vd1.';
const nonceLength = 12;
const tagLength = 16;

/** Everything else was sealed by a provider, for itself. */
export const isSealedHere = (text: string) => text.startsWith(prefix);

export type SealKind = 'reasoning' | 'compaction';

export type Sealer = {
  seal(kind: SealKind, owner: string, value: unknown): string;
  /** Throws invalid_encrypted_content when the text was changed, or sealed elsewhere, for another owner or as another kind. */
  open(kind: SealKind, owner: string, text: string): unknown;
};

/** `secret` is the server's own: instances that share it open each other's seals. */
export function createSealer(secret: Buffer): Sealer {
  const key = Buffer.from(hkdfSync('sha256', secret, '', 'viaduct responses seal', 32));
  const bound = (kind: SealKind, owner: string) => Buffer.from(`${kind}\0${owner}`);
  return {
    seal(kind, owner, value) {
      const nonce = randomBytes(nonceLength);
      const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(bound(kind, owner));
      const sealed = Buffer.concat([nonce, cipher.update(JSON.stringify(value), 'utf8'), cipher.final()]);
      return prefix + Buffer.concat([sealed, cipher.getAuthTag()]).toString('base64url');
    },
    open(kind, owner, text) {
      try {
        if (!text.startsWith(prefix)) throw new Error('no seal of this server');
        const bytes = Buffer.from(text.slice(prefix.length), 'base64url');
        // Several texts decode to the same bytes; only the one that was given counts.
        if (bytes.toString('base64url') !== text.slice(prefix.length)) throw new Error('not canonical');
        const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(0, nonceLength), {
          authTagLength: tagLength,
        });
        decipher.setAAD(bound(kind, owner)).setAuthTag(bytes.subarray(-tagLength));
        const json = Buffer.concat([decipher.update(bytes.subarray(nonceLength, -tagLength)), decipher.final()]);
        return JSON.parse(json.toString('utf8'));
      } catch (cause) {
        throw new ViaductError(
          'invalid_encrypted_content',
          `The encrypted content of a ${kind} item could not be verified: send it back exactly as it was given, with the same key.`,
          { param: 'input', cause },
        );
      }
    },
  };
}

/** Opens the thoughts that this owner's responses sealed. Those that a provider sealed are left as they are, for it. */
export const openReasoning =
  (sealer: Sealer, owner: string): OpenReasoning =>
  (text) =>
    isSealedHere(text) ? (sealer.open('reasoning', owner, text) as ReasoningPart) : foreignReasoning(text);
