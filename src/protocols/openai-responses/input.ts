/** The `input` of a request → items: checked one by one, so that an error names the exact field. Pure. */
import { z } from 'zod';
import { ViaductError } from '../../core/errors.ts';
import type { Json } from '../../core/json.ts';
import { checkBody } from '../openai-body.ts';
import {
  type InputContent,
  type Item,
  type ItemReference,
  knownItems,
  type MessageItem,
  type NewId,
  type OutputContent,
} from './wire.ts';

const maxText = 10 * 2 ** 20;
const maxItems = 20_000;

const text = z.string().max(maxText);
const inputText = z.object({ type: z.enum(['input_text', 'output_text', 'text', 'summary_text']), text });
const inputImage = z.object({
  type: z.literal('input_image'),
  image_url: z
    .union([z.string(), z.object({ url: z.string() })])
    .nullish()
    .transform((url) => (typeof url === 'object' ? (url?.url ?? null) : (url ?? null))),
  file_id: z.string().nullish(),
  detail: z.enum(['auto', 'low', 'high', 'original']).nullish(),
});
const inputFile = z.object({
  type: z.literal('input_file'),
  file_id: z.string().nullish(),
  filename: z.string().nullish(),
  file_data: z.string().nullish(),
  file_url: z.string().nullish(),
});
const inputAudio = z.object({
  type: z.literal('input_audio'),
  input_audio: z.object({ data: z.string(), format: z.string() }),
});
const outputText = z.object({
  type: z.enum(['output_text', 'input_text', 'text']),
  text,
  annotations: z.array(z.json()).nullish(),
});
const refusal = z.object({ type: z.literal('refusal'), refusal: text });

const noNul = (id: string) => !id.includes('\0');
const id = z.string().max(256).refine(noNul).nullish();
const message = z.object({
  type: z.literal('message').nullish(),
  id,
  role: z.enum(['user', 'assistant', 'system', 'developer']),
  content: z.union([text, z.array(z.unknown())]).nullish(),
  status: z.enum(['in_progress', 'completed', 'incomplete']).nullish(),
  phase: z.enum(['commentary', 'final_answer']).nullish(),
});
const callId = z.string().min(1).max(256);
const functionCall = z.object({ id, call_id: callId, name: z.string().min(1).max(256), arguments: text });
const customToolCall = z.object({ id, call_id: callId, name: z.string().min(1).max(256), input: text });
const callOutput = z.object({
  id,
  call_id: callId,
  output: z.union([text, z.array(z.unknown())]),
});
const reasoning = z.object({
  id,
  summary: z.array(z.object({ text })).nullish(),
  content: z.array(z.object({ text })).nullish(),
  encrypted_content: text.nullish(),
});
const compaction = z.object({ id, encrypted_content: text });
const unknownItem = z.object({ id });
const reference = z.object({ id: z.string().min(1).max(256).refine(noNul) });

/**
 * A request's `input` (text, or a list of items) → items and references, ids added where the client gave none.
 * Throws invalid_request naming the field. Items of a provider's own kinds are taken as they are.
 */
export function decodeInput(input: unknown, newId: NewId, place = 'input'): (Item | ItemReference)[] {
  if (input === undefined || input === null) return [];
  if (typeof input === 'string') return [userMessage(checkBody(text, input, place), newId)];
  if (!Array.isArray(input))
    throw new ViaductError('invalid_request', `'${place}' must be a text or a list of items.`, { param: place });
  if (input.length > maxItems)
    throw new ViaductError('invalid_request', `'${place}' has more than ${maxItems} items.`, { param: place });
  return input.map((item, index) => decodeItem(item, newId, `${place}[${index}]`));
}

/** The item that a text alone stands for. */
export function userMessage(text: string, newId: NewId): Item {
  return {
    type: 'message',
    id: newId('msg'),
    status: 'completed',
    role: 'user',
    content: [{ type: 'input_text', text }],
  };
}

/** Throws unsupported_capability for the first item that only a provider of this protocol can read. */
export function refuseForeignItems(items: readonly (Item | ItemReference)[], place = 'input'): void {
  const index = items.findIndex(({ type }) => !knownItems.has(type));
  if (index === -1) return;
  const param = `${place}[${index}].type`;
  throw new ViaductError('unsupported_capability', `This model cannot read items of type '${items[index]?.type}'.`, {
    param,
  });
}

function decodeItem(value: unknown, newId: NewId, place: string): Item | ItemReference {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new ViaductError('invalid_request', `'${place}' must be an object.`, { param: place });
  const type = typeOf(value) ?? ('role' in value ? 'message' : 'item_reference');
  switch (type) {
    case 'message':
      return decodeMessage(value, newId, place);
    case 'function_call': {
      const wire = checkBody(functionCall, value, place);
      return { type, status: 'completed', ...wire, id: wire.id ?? newId('fc') };
    }
    case 'custom_tool_call': {
      const wire = checkBody(customToolCall, value, place);
      return { type, status: 'completed', ...wire, id: wire.id ?? newId('ctc') };
    }
    case 'function_call_output':
    case 'custom_tool_call_output': {
      const wire = checkBody(callOutput, value, place);
      const output =
        typeof wire.output === 'string'
          ? wire.output
          : wire.output.map((part, index) => decodeInputContent(part, `${place}.output[${index}]`));
      const newItemId = newId(type === 'function_call_output' ? 'fco' : 'ctco');
      return { type, status: 'completed', call_id: wire.call_id, output, id: wire.id ?? newItemId };
    }
    case 'reasoning': {
      const wire = checkBody(reasoning, value, place);
      return {
        type,
        status: 'completed',
        id: wire.id ?? newId('rs'),
        summary: (wire.summary ?? []).map(({ text }) => ({ type: 'summary_text', text })),
        ...(wire.content && { content: wire.content.map(({ text }) => ({ type: 'reasoning_text' as const, text })) }),
        ...(wire.encrypted_content && { encrypted_content: wire.encrypted_content }),
      };
    }
    case 'compaction':
    case 'compaction_summary': {
      const wire = checkBody(compaction, value, place);
      return { type: 'compaction', encrypted_content: wire.encrypted_content, id: wire.id ?? newId('cmp') };
    }
    case 'item_reference':
      return { type, id: checkBody(reference, value, place).id };
    default:
      // A provider's own kind of item: it may come back to that provider, see refuseForeignItems.
      return { ...value, id: checkBody(unknownItem, value, place).id ?? newId('item') } as unknown as Item;
  }
}

function decodeMessage(value: object, newId: NewId, place: string): MessageItem {
  const wire = checkBody(message, value, place);
  const { role } = wire;
  const base = { type: 'message' as const, id: wire.id ?? newId('msg'), status: wire.status ?? ('completed' as const) };
  const parts = wire.content ?? [];
  if (role === 'assistant') {
    const content =
      typeof parts === 'string'
        ? [{ type: 'output_text' as const, text: parts, annotations: [], logprobs: [] }]
        : parts.map((part, index) => decodeOutputContent(part, `${place}.content[${index}]`));
    return { ...base, role, content, ...(wire.phase && { phase: wire.phase }) };
  }
  const content: InputContent[] =
    typeof parts === 'string'
      ? [{ type: 'input_text', text: parts }]
      : parts.map((part, index) => decodeInputContent(part, `${place}.content[${index}]`));
  if (role !== 'user' && content.some(({ type }) => type !== 'input_text'))
    throw new ViaductError('invalid_request', `A ${role} message holds text only.`, { param: `${place}.content` });
  return { ...base, role, content };
}

function decodeInputContent(value: unknown, place: string): InputContent {
  switch (typeOf(value)) {
    case 'input_image': {
      const { image_url, file_id, detail } = checkBody(inputImage, value, place);
      if (!image_url && !file_id)
        throw new ViaductError('invalid_request', "An input_image needs an 'image_url'.", {
          param: `${place}.image_url`,
        });
      const wanted = detail === 'low' || detail === 'high' ? detail : 'auto';
      return { type: 'input_image', image_url, ...(file_id && { file_id }), detail: wanted };
    }
    case 'input_file': {
      const { file_id, filename, file_data, file_url } = checkBody(inputFile, value, place);
      if (!file_id && !file_data && !file_url)
        throw new ViaductError('invalid_request', "An input_file needs 'file_data', 'file_url' or 'file_id'.", {
          param: `${place}.file_data`,
        });
      return {
        type: 'input_file',
        ...(file_id && { file_id }),
        ...(filename && { filename }),
        ...(file_data && { file_data }),
        ...(file_url && { file_url }),
      };
    }
    case 'input_audio':
      return checkBody(inputAudio, value, place);
    default:
      return { type: 'input_text', text: checkBody(inputText, value, place).text };
  }
}

function decodeOutputContent(value: unknown, place: string): OutputContent {
  if (typeOf(value) === 'refusal') return checkBody(refusal, value, place);
  const { text, annotations } = checkBody(outputText, value, place);
  return { type: 'output_text', text, annotations: (annotations ?? []) as Json[], logprobs: [] };
}

const typeOf = (value: unknown): string | undefined =>
  typeof value === 'object' && value !== null && 'type' in value && value.type != null ? String(value.type) : undefined;
