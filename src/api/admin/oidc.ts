/**
 * Sign-in with an OpenID Connect provider: authorization code with PKCE, state and nonce.
 * https://openid.net/specs/openid-connect-core-1_0.html
 */
import * as client from 'openid-client';
import { ViaductError } from '../../core/errors.ts';
import type { Role } from '../../store/policy.ts';

export type SignInOptions = {
  issuer: string;
  clientId: string;
  clientSecret: string | undefined;
  scopes: string[];
  /** Claim whose values give a role, and which value gives which. */
  rolesClaim: string;
  roles: Record<string, Exclude<Role, 'member'>>;
};

/** What must come back unchanged: kept in a signed cookie while the person is at the provider. */
export type Pending = { state: string; nonce: string; verifier: string; returnTo: string };
export type Person = { email: string; name: string; role: Role };

export type SignIn = {
  /** Where to send the browser. */
  begin(redirectUrl: string, returnTo: string): Promise<{ url: string; pending: Pending }>;
  /** `url`: what the browser came back with. Throws permission_denied with what the provider said. */
  finish(url: URL, pending: Pending): Promise<Person>;
};

/** The provider's configuration is read at the first sign-in, so that the server starts without it. */
export function createSignIn(options: SignInOptions): SignIn {
  let discovered: Promise<client.Configuration> | undefined;
  const configuration = () => {
    discovered ??= discover(options).catch((cause) => {
      discovered = undefined;
      throw new ViaductError('provider_unavailable', `The sign-in server ${options.issuer} cannot be reached.`, {
        cause,
      });
    });
    return discovered;
  };

  return {
    async begin(redirectUrl, returnTo) {
      const pending = {
        state: client.randomState(),
        nonce: client.randomNonce(),
        verifier: client.randomPKCECodeVerifier(),
        returnTo,
      };
      const url = client.buildAuthorizationUrl(await configuration(), {
        redirect_uri: redirectUrl,
        scope: options.scopes.join(' '),
        state: pending.state,
        nonce: pending.nonce,
        code_challenge: await client.calculatePKCECodeChallenge(pending.verifier),
        code_challenge_method: 'S256',
      });
      return { url: url.href, pending };
    },

    async finish(url, { state, nonce, verifier }) {
      const config = await configuration();
      try {
        const tokens = await client.authorizationCodeGrant(config, url, {
          expectedState: state,
          expectedNonce: nonce,
          pkceCodeVerifier: verifier,
          idTokenExpected: true,
        });
        const claims = tokens.claims();
        if (!claims) throw new Error('no id token');
        // Many providers put the address and the groups only there.
        const more = config.serverMetadata().userinfo_endpoint
          ? await client.fetchUserInfo(config, tokens.access_token, claims.sub)
          : {};
        return personOf({ ...claims, ...more }, options);
      } catch (cause) {
        if (cause instanceof ViaductError) throw cause;
        throw new ViaductError('permission_denied', 'The sign-in did not succeed. Try again.', { cause });
      }
    },
  };
}

function discover({ issuer, clientId, clientSecret }: SignInOptions): Promise<client.Configuration> {
  const url = new URL(issuer);
  // Only a provider on this machine may be without TLS.
  const plain = url.protocol === 'http:' && ['localhost', '127.0.0.1', '[::1]'].includes(url.hostname);
  return client.discovery(url, clientId, clientSecret, clientSecret === undefined ? client.None() : undefined, {
    ...(plain && { execute: [client.allowInsecureRequests] }),
  });
}

const ranks: Role[] = ['member', 'viewer', 'manager', 'admin'];

function personOf(claims: Record<string, unknown>, { rolesClaim, roles }: SignInOptions): Person {
  const { email, email_verified: verified, name } = claims;
  if (typeof email !== 'string' || email === '')
    throw new ViaductError(
      'permission_denied',
      'The sign-in server did not tell an e-mail address. Ask for the scope "email".',
    );
  if (verified === false)
    throw new ViaductError('permission_denied', `The address ${email} is not verified at the sign-in server.`);
  const value = claims[rolesClaim];
  const values = (Array.isArray(value) ? value : [value]).filter((entry) => typeof entry === 'string');
  const role = values
    .map((entry) => roles[entry] ?? 'member')
    .reduce<Role>((best, next) => (ranks.indexOf(next) > ranks.indexOf(best) ? next : best), 'member');
  return { email: email.toLowerCase(), name: typeof name === 'string' ? name : email, role };
}
