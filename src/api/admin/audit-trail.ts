import { createId } from '../../gateway/secrets.ts';
import { redact } from '../../telemetry/redact.ts';
import type { AdminExchange } from './actor.ts';

/** Write down what the actor just changed. `detail` is redacted, and must not hold a new secret in the first place. */
export async function record(
  { actor, services }: AdminExchange,
  action: string,
  subject: string,
  detail: Record<string, unknown> = {},
): Promise<void> {
  await services.audit.append({
    id: createId('audit'),
    at: services.now(),
    actor: actor.name,
    address: actor.address,
    action,
    subject,
    detail: redact(detail) as Record<string, unknown>,
  });
}
