/**
 * The door of administration: keys, teams, budgets, usage, the log, the audit log, sign-in. Adding a resource = its
 * file and its line here.
 */
import type { FrontDoor } from '../define.ts';
import { type AdminServices, guarded } from './actor.ts';
import { audit } from './audit.ts';
import { budgets } from './budgets.ts';
import { config } from './config.ts';
import { keys } from './keys.ts';
import { requests } from './requests.ts';
import { type SessionOptions, sessionEndpoints } from './session.ts';
import { teams } from './teams.ts';
import { usage } from './usage.ts';

export type { AdminServices } from './actor.ts';
export { createSignIn } from './oidc.ts';

export function createAdminDoor(services: AdminServices, session: SessionOptions): FrontDoor {
  return {
    endpoints: [
      ...[...keys, ...teams, ...budgets, ...usage, ...requests, ...audit, ...config].map((endpoint) =>
        guarded(endpoint, services),
      ),
      ...sessionEndpoints(services, session),
    ],
    encodeError: (error) => ({
      error: { message: error.message, type: error.type, param: error.param ?? null, code: error.code },
    }),
  };
}
