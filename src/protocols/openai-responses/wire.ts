/**
 * What the Responses API puts on the wire: items, the response object, stream events. Types.
 * Source: https://www.openresponses.org/specification and https://platform.openai.com/docs/api-reference/responses (2026-08)
 */
import type { Json, JsonObject } from '../../core/json.ts';

export type ItemStatus = 'in_progress' | 'completed' | 'incomplete';

export type WireLogprob = {
  token: string;
  logprob: number;
  bytes: number[];
  top_logprobs: { token: string; logprob: number; bytes: number[] }[];
};

export type InputContent =
  | { type: 'input_text'; text: string }
  | { type: 'input_image'; image_url: string | null; file_id?: string; detail: 'auto' | 'low' | 'high' }
  | { type: 'input_file'; file_id?: string; filename?: string; file_data?: string; file_url?: string }
  | { type: 'input_audio'; input_audio: { data: string; format: string } };

export type OutputContent =
  | { type: 'output_text'; text: string; annotations: Json[]; logprobs: WireLogprob[] }
  | { type: 'refusal'; refusal: string };

export type MessageItem =
  | { type: 'message'; id: string; status: ItemStatus; role: 'user' | 'system' | 'developer'; content: InputContent[] }
  | {
      type: 'message';
      id: string;
      status: ItemStatus;
      role: 'assistant';
      content: OutputContent[];
      phase?: 'commentary' | 'final_answer';
    };

export type FunctionCallItem = {
  type: 'function_call';
  id: string;
  status: ItemStatus;
  call_id: string;
  name: string;
  arguments: string;
};

export type FunctionCallOutputItem = {
  type: 'function_call_output';
  id: string;
  status: ItemStatus;
  call_id: string;
  output: string | InputContent[];
};

/** A call of a tool that takes free text instead of JSON. */
export type CustomToolCallItem = {
  type: 'custom_tool_call';
  id: string;
  status: ItemStatus;
  call_id: string;
  name: string;
  input: string;
};

export type CustomToolCallOutputItem = {
  type: 'custom_tool_call_output';
  id: string;
  status: ItemStatus;
  call_id: string;
  output: string | InputContent[];
};

export type ReasoningItem = {
  type: 'reasoning';
  id: string;
  status: ItemStatus;
  summary: { type: 'summary_text'; text: string }[];
  content?: { type: 'reasoning_text'; text: string }[];
  encrypted_content?: string | null;
};

export type CompactionItem = { type: 'compaction'; id: string; encrypted_content: string };

/** A picture that the model made, as base64. */
export type ImageCallItem = { type: 'image_generation_call'; id: string; status: ItemStatus; result: string | null };

/** Kinds of items that can be put before any model. A provider's own kinds (searches, code runs) are kept and given as they came. */
export const knownItems: ReadonlySet<string> = new Set<Item['type']>([
  'message',
  'function_call',
  'function_call_output',
  'custom_tool_call',
  'custom_tool_call_output',
  'reasoning',
  'compaction',
  'image_generation_call',
]);

/** An item as the server keeps and gives it: complete, with an id. */
export type Item =
  | MessageItem
  | FunctionCallItem
  | FunctionCallOutputItem
  | CustomToolCallItem
  | CustomToolCallOutputItem
  | ReasoningItem
  | CompactionItem
  | ImageCallItem;

/** Stands in a request for an item that the server already has. */
export type ItemReference = { type: 'item_reference'; id: string };

export type ResponseStatus = 'queued' | 'in_progress' | 'completed' | 'incomplete' | 'failed' | 'cancelled';

export type WireUsage = {
  input_tokens: number;
  input_tokens_details: { cached_tokens: number; cache_write_tokens: number };
  output_tokens: number;
  output_tokens_details: { reasoning_tokens: number };
  total_tokens: number;
};

/** The response object. Every field is always present; what the client set is echoed. */
export type ResponseResource = {
  id: string;
  object: 'response';
  /** Seconds since 1970, as is `completed_at`. */
  created_at: number;
  completed_at: number | null;
  status: ResponseStatus;
  background: boolean;
  error: { code: string; message: string } | null;
  incomplete_details: { reason: string } | null;
  instructions: string | null;
  max_output_tokens: number | null;
  max_tool_calls: number | null;
  model: string;
  output: Item[];
  parallel_tool_calls: boolean;
  previous_response_id: string | null;
  conversation: { id: string } | null;
  prompt_cache_key: string | null;
  reasoning: { effort: string | null; summary: string | null };
  safety_identifier: string | null;
  service_tier: string;
  store: boolean;
  temperature: number;
  text: { format: JsonObject; verbosity: string };
  tool_choice: Json;
  tools: JsonObject[];
  top_logprobs: number;
  top_p: number;
  presence_penalty: number;
  frequency_penalty: number;
  truncation: 'auto' | 'disabled';
  usage: WireUsage | null;
  user: string | null;
  metadata: Record<string, string>;
  /** Our own code of the failure: the table of core/errors.ts. */
  error_type?: string;
  /** Why a call that the model tried is not in `output`. */
  tool_error?: string;
};

/** One event of a stream: `type` says which, the other fields depend on it. */
export type ResponseEvent = { type: string; sequence_number: number; [field: string]: unknown };

/** Ids carry their kind: `resp_…`, `msg_…`. */
export type IdPrefix = 'resp' | 'msg' | 'fc' | 'fco' | 'ctc' | 'ctco' | 'rs' | 'cmp' | 'ig' | 'conv' | 'item';
export type NewId = (prefix: IdPrefix) => string;
