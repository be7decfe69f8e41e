/** A copy of a request for another target, its answer thrown away: only the ledger compares. */
import { ViaductError } from '../core/errors.ts';
import type { CallContext } from '../core/provider.ts';
import type { Measured } from './attempt.ts';
import { nextEntryId } from './call.ts';
import type { ChatCall, Credentials, GatewayDeps, Identity } from './contract.ts';
import type { Needs } from './needs.ts';
import type { Target } from './route/target.ts';
import { estimateUsage } from './stream.ts';

const limitMs = 600_000;

/** Runs by itself and never fails: what goes wrong is in its ledger entry. The client's leaving does not stop it. */
export function runShadow(
  deps: GatewayDeps,
  target: Target,
  call: ChatCall,
  { credentials, identity, needs }: { credentials: Credentials; identity: Identity; needs: Needs },
): void {
  const { provider, model, priced } = target;
  const { account } = deps;
  if (!provider.chat || !account) return;
  const context: CallContext = { signal: AbortSignal.timeout(limitMs), requestId: credentials.requestId, report: {} };
  const startedAt = Date.now();
  let firstTokenMs: number | undefined;
  let characters = 0;
  let usage: Measured['usage'] | undefined;

  const record = (error?: ViaductError) => {
    const totalMs = Date.now() - startedAt;
    const used = usage ?? (characters > 0 ? estimateUsage(needs.inputTokens, characters) : { input: 0, output: 0 });
    const cost = deps.prices?.cost(priced, used, totalMs);
    account({
      id: nextEntryId(),
      requestId: credentials.requestId,
      attempt: 0,
      startedAt,
      endpoint: credentials.endpoint,
      model: call.model,
      provider: provider.name,
      targetModel: model,
      usage: used,
      estimated: usage === undefined,
      totalMs,
      status: error ? 'error' : 'ok',
      stream: call.stream,
      tags: identity.tags ?? [],
      shadow: true,
      ...(identity.keyId !== undefined && { keyId: identity.keyId }),
      ...(identity.teamId !== undefined && { teamId: identity.teamId }),
      ...(cost !== undefined && { cost }),
      ...(firstTokenMs !== undefined && { firstTokenMs }),
      ...(error && { cause: error.code }),
    });
  };

  const run = async () => {
    for await (const batch of provider.chat?.({ ...call.decode(), model }, context) ?? [])
      for (const event of batch) {
        if (event.type === 'finish') usage = event.usage;
        else if (event.type !== 'start') {
          firstTokenMs ??= Date.now() - startedAt;
          if (event.type === 'text' || event.type === 'reasoning') characters += event.text.length;
        }
      }
  };
  run().then(
    () => record(),
    (thrown: unknown) => record(ViaductError.from(thrown)),
  );
}
