/** GET /admin/config: the configuration that is in force, without its secrets. */
import { redact } from '../../telemetry/redact.ts';
import type { AdminEndpoint } from './actor.ts';

export const config: AdminEndpoint[] = [
  {
    method: 'GET',
    path: '/admin/config',
    needs: 'admin',
    handle: async ({ reply, services }) => reply.send(redact(services.config())),
  },
];
