import type { ChatEvent } from '../core/chat.ts';
import { neutralSettings, type Settings } from '../protocols/openai-responses.ts';

/**
 * `max_tool_calls` and `allowed_tools` as hard limits, whatever the model does: calls beyond them are left out of the answer.
 * Returns a filter for the events of one answer, or undefined when nothing is limited.
 */
export function createToolFilter(settings: Settings): ((event: ChatEvent) => ChatEvent | undefined) | undefined {
  const choice = neutralSettings(settings).toolChoice;
  const allowed = typeof choice === 'object' && 'allowed' in choice ? new Set(choice.allowed) : undefined;
  const most = settings.max_tool_calls ?? undefined;
  if (!allowed && most === undefined && choice !== 'none') return undefined;
  const dropped = new Set<number>();
  let kept = 0;
  return (event) => {
    if (event.type === 'tool-call') {
      const refused =
        choice === 'none' || (allowed && !allowed.has(event.name)) || (most !== undefined && kept >= most);
      if (refused) dropped.add(event.index);
      else kept++;
      return refused ? undefined : event;
    }
    if (event.type === 'tool-input' && dropped.has(event.index)) return undefined;
    if (event.type === 'finish' && event.reason === 'tool-calls' && kept === 0 && dropped.size > 0)
      return { ...event, reason: 'stop' };
    return event;
  };
}
