/** Events of a provider that speaks this protocol itself, made events of our response: numbers and places follow ours. */
import type { Output } from './output.ts';
import { decodeUsage, encodeUsage } from './resource.ts';
import { decodeFailure } from './stream-decoder.ts';
import type { Item, ResponseResource } from './wire.ts';

type Wire = { [field: string]: unknown };
/** How the provider says that its response ended. */
type ProviderEnd = { status: 'completed' | 'incomplete'; changes: Partial<ResponseResource> };

export function createAdopter(output: Output) {
  /** Where the provider's own items begin. */
  let from: number | undefined;

  function tell(type: string, { type: _type, sequence_number: _number, ...fields }: Wire) {
    if (typeof fields['output_index'] !== 'number') {
      output.emit(type, fields);
      return;
    }
    const output_index = fields['output_index'] + (from ?? 0);
    const item = fields['item'] as Item | undefined;
    if (item) output.items[output_index] = item;
    output.emit(type, { ...fields, output_index, ...(item && { item: output.shown(item) }) });
  }

  /** Throws what the provider says went wrong. */
  return (wire: Wire): ProviderEnd | undefined => {
    const type = String(wire['type']);
    from ??= output.items.length;
    const response = (wire['response'] ?? {}) as Partial<ResponseResource>;
    switch (type) {
      case 'response.created':
      case 'response.queued':
      case 'response.in_progress':
        return undefined;
      case 'response.completed':
        return { status: 'completed', changes: outcomeOf(response) };
      case 'response.incomplete':
        return { status: 'incomplete', changes: outcomeOf(response) };
      case 'response.failed':
        throw decodeFailure({ ...response.error });
      case 'error':
        throw decodeFailure((wire['error'] ?? wire) as Wire);
      default:
        tell(type, wire);
        return undefined;
    }
  };
}

/** What the provider alone knows of the response. */
function outcomeOf(response: Partial<ResponseResource>): Partial<ResponseResource> {
  const { usage, completed_at, incomplete_details, service_tier, reasoning } = response;
  return {
    usage: encodeUsage(decodeUsage(usage)),
    completed_at: completed_at ?? null,
    incomplete_details: incomplete_details ?? null,
    ...(service_tier && { service_tier }),
    ...(reasoning && { reasoning: { effort: reasoning.effort ?? null, summary: reasoning.summary ?? null } }),
  };
}
