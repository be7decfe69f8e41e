/** The calls of tools that are being written: more than one may grow at a time. */
import type { ChatEvent } from '../../core/chat.ts';
import type { Output } from './output.ts';
import type { CustomToolCallItem, FunctionCallItem, ItemStatus } from './wire.ts';

type CallItem = FunctionCallItem | CustomToolCallItem;
type OpenCall = { index: number; item: CallItem; json: string };

/** Calls of `customTools` become `custom_tool_call` items: their text is known when their JSON is whole. */
export function createCallWriter(output: Output, customTools: ReadonlySet<string> | undefined) {
  const { emit } = output;
  /** By the provider's number. */
  const open = new Map<number, OpenCall>();

  function closeOne({ index, item, json }: OpenCall, status: ItemStatus) {
    const place = { item_id: item.id, output_index: index };
    const whole = itemOf(item, json, status);
    if (whole.type === 'function_call') {
      const { name } = whole;
      emit('response.function_call_arguments.done', { ...place, name, arguments: json });
    } else {
      emit('response.custom_tool_call_input.delta', { ...place, delta: whole.input });
      emit('response.custom_tool_call_input.done', { ...place, input: whole.input });
    }
    output.finish(index, whole);
  }

  return {
    begin({ index: key, id, name }: Extract<ChatEvent, { type: 'tool-call' }>) {
      // A call whose JSON is whole is done; one that is not may still grow beside this one.
      for (const [other, call] of open)
        if (isJson(call.json)) {
          open.delete(other);
          closeOne(call, 'completed');
        }
      const base = { status: 'in_progress' as const, call_id: id, name };
      const item: CallItem = customTools?.has(name)
        ? { type: 'custom_tool_call', id: output.newId('ctc'), ...base, input: '' }
        : { type: 'function_call', id: output.newId('fc'), ...base, arguments: '' };
      open.set(key, { index: output.add(item), item, json: '' });
    },

    grow({ index: key, json }: Extract<ChatEvent, { type: 'tool-input' }>) {
      const call = open.get(key);
      if (!call || json === '') return;
      call.json += json;
      const { item, index } = call;
      if (item.type === 'function_call')
        emit('response.function_call_arguments.delta', { item_id: item.id, output_index: index, delta: json });
    },

    close(status: ItemStatus) {
      for (const call of open.values()) closeOne(call, status);
      open.clear();
    },

    /** Left as they are: no event says so. */
    interrupt() {
      for (const { index, item, json } of open.values()) output.items[index] = itemOf(item, json, 'incomplete');
      open.clear();
    },
  };
}

const itemOf = (item: CallItem, json: string, status: ItemStatus): CallItem =>
  item.type === 'function_call' ? { ...item, status, arguments: json } : { ...item, status, input: freeText(json) };

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

/** `{"input":"…"}` → the text; what is not that is the text itself. */
function freeText(json: string): string {
  try {
    const parsed: unknown = JSON.parse(json);
    if (typeof parsed === 'object' && parsed !== null && 'input' in parsed && typeof parsed.input === 'string')
      return parsed.input;
  } catch {
    // The model did not keep to the frame.
  }
  return json;
}
