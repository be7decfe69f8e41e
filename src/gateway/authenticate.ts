/** Who is asking: secret → identity, and the key's own rules about endpoint and address. */
import { type KeyObject, timingSafeEqual } from 'node:crypto';
import { ViaductError } from '../core/errors.ts';
import type { HashedKey } from '../store/keys.ts';
import type { Authenticate, Identity } from './contract.ts';
import { type Directory, inRanges } from './directory.ts';
import { allowed } from './patterns.ts';
import { hashSecret } from './secrets.ts';

export type AuthMode = 'auto' | 'required' | 'off';

export type AuthenticateDeps = {
  directory: Directory;
  serverSecret: KeyObject;
  /** Secrets of the administrator: VIADUCT_ADMIN_KEY and the token of the local CLI. */
  adminSecrets: string[];
  /** Asked each time: the configuration may change it. */
  mode: () => AuthMode;
  /** The server listens on loopback only. */
  loopback: boolean;
  now: () => number;
};

/** Nobody in particular, on a server that asks for no keys. The model store's owner, hence `admin`; /admin itself asks for more. */
const anybody: Identity = { owner: 'local', admin: true };
const administrator: Identity = { owner: 'local', admin: true };

/**
 * Hashes with the server's secret, finds the key in memory, compares in constant time. With `auto`, keys are needed once
 * one was made or the server listens beyond loopback; while none are needed, any placeholder is as good as none.
 * Throws invalid_api_key, permission_denied.
 */
export function createAuthenticate(deps: AuthenticateDeps): Authenticate {
  const { directory, serverSecret, mode, loopback, now } = deps;
  const adminHashes = deps.adminSecrets.map((secret) => hashSecret(serverSecret, secret));
  /** Of secrets that proved right: a keyed hash for every request would be a tenth of its cost. */
  const hashes = new Map<string, string>();
  const remember = (secret: string, hash: string) => {
    if (hashes.size >= mostHashes) hashes.clear();
    hashes.set(secret, hash);
  };
  const needed = () => {
    const now = mode();
    return now === 'required' || (now === 'auto' && (!loopback || directory.hasKeys()));
  };

  return ({ secret, address, endpoint }) => {
    if (secret === undefined) {
      if (needed()) throw new ViaductError('invalid_api_key', missingKey);
      return anybody;
    }
    const hash = hashes.get(secret) ?? hashSecret(serverSecret, secret);
    const key = directory.candidate(hash);
    if (key && fits(key, hash, now())) {
      remember(secret, hash);
      return checkRules(directory, key, endpoint, address, now());
    }
    if (adminHashes.some((adminHash) => same(adminHash, hash))) return administrator;
    if (needed()) throw new ViaductError('invalid_api_key', wrongKey);
    return anybody;
  };
}

const mostHashes = 10_000;

const missingKey =
  'This server needs an API key: send it as "Authorization: Bearer vd-…". Make one with: viaduct keys create NAME';
const wrongKey = 'The API key is not one of this server. Make one with: viaduct keys create NAME';

const same = (one: string, other: string) =>
  one.length === other.length && timingSafeEqual(Buffer.from(one), Buffer.from(other));

/** The current secret, or the one before the last rotation while that is still good. */
function fits(key: HashedKey, hash: string, now: number): boolean {
  if (same(key.hash, hash)) return true;
  return key.oldHash !== null && same(key.oldHash, hash) && now < (key.oldHashUntil ?? 0);
}

function checkRules(directory: Directory, key: HashedKey, endpoint: string, address: string, now: number): Identity {
  if (key.revokedAt !== null) throw new ViaductError('invalid_api_key', `The API key ${key.prefix}… was revoked.`);
  if (key.disabled) throw new ViaductError('invalid_api_key', `The API key ${key.prefix}… is disabled.`);
  if (key.expiresAt !== null && now >= key.expiresAt)
    throw new ViaductError('invalid_api_key', `The API key ${key.prefix}… expired on ${date(key.expiresAt)}.`);
  const subject = directory.subject(key.id);
  if (!subject) throw new ViaductError('invalid_api_key', wrongKey);
  if (!allowed(subject.endpoints, endpoint))
    throw new ViaductError('permission_denied', `The API key ${key.prefix}… may not use ${endpoint}.`);
  if (subject.ranges && !inRanges(address, subject.ranges))
    throw new ViaductError('permission_denied', `The API key ${key.prefix}… may not be used from ${address}.`);
  return subject.identity;
}

const date = (time: number) => new Date(time).toISOString().slice(0, 10);
