/**
 * Secrets of this server and of its clients. Client secrets are random (256 bits), so a fast keyed hash stores them safely:
 * slow password hashes protect guessable secrets, and would cost every request.
 */
import { createHmac, createSecretKey, type KeyObject, randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const prefixLength = 'vd-'.length + 6;

/** A new secret to show once (`vd-…`), and its first characters, by which people know it again. */
export function createSecret(): { secret: string; prefix: string } {
  const secret = `vd-${randomBytes(32).toString('base64url')}`;
  return { secret, prefix: secret.slice(0, prefixLength) };
}

/** A short random id with a telling prefix: `key_…`. */
export const createId = (kind: string) => `${kind}_${randomBytes(9).toString('base64url')}`;

/** HMAC-SHA-256 of a secret under the server's own, base64url. */
export const hashSecret = (serverSecret: KeyObject, secret: string) =>
  createHmac('sha256', serverSecret).update(secret).digest('base64url');

/**
 * The server's own secret: `given` (several instances must share one), else the file `secret` in `home`, which is made at
 * first need and readable by its owner only.
 */
export function serverSecret(home: string, given: string | undefined): KeyObject {
  // A key object: with a plain buffer every hash would cost seven times as much.
  return createSecretKey(given ?? readOrCreate(home, 'secret'), given === undefined ? 'base64url' : 'utf8');
}

/** What the CLI on this machine shows to administer the server: the file `admin.token` in `home`. */
export const adminToken = (home: string) => readOrCreate(home, 'admin.token');

function readOrCreate(home: string, name: string): string {
  mkdirSync(home, { recursive: true, mode: 0o700 });
  const path = join(home, name);
  try {
    // `wx` fails when the file is there: of two programs that start together, one writes and both read that.
    writeFileSync(path, randomBytes(32).toString('base64url'), { flag: 'wx', mode: 0o600 });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
  return readFileSync(path, 'utf8').trim();
}
