/**
 * The one chat vocabulary of the program. Front doors decode into it, providers encode out of it; everything between
 * speaks nothing else. Data only: no behaviour, no imports outside core.
 */
import type { Json, JsonObject } from './json.ts';
import type { Usage } from './usage.ts';

/** Wire protocols we speak, as a client's front door and towards providers. */
export type Protocol =
  | 'openai-chat'
  | 'openai-completions'
  | 'openai-responses'
  | 'openai-responses-compact'
  | 'anthropic-messages'
  | 'gemini'
  | 'bedrock-converse'
  | 'ollama';

/** Bytes that came with the request (base64, no data: prefix), or where they lie. */
export type Source = { data: string; mediaType: string } | { url: string };

/** Anthropic's and OpenRouter's prompt-cache mark on a part; other protocols drop it. */
type Cacheable = { cache?: { ttl?: '5m' | '1h' } };

export type TextPart = { type: 'text'; text: string } & Cacheable;
export type ImagePart = { type: 'image'; source: Source; detail?: 'auto' | 'low' | 'high' } & Cacheable;
export type AudioPart = { type: 'audio'; data: string; format: string };
/** `cited`: the answer is to say which of its words come from this file (Anthropic, Bedrock). */
export type FilePart = {
  type: 'file';
  source: Source | { fileId: string };
  name?: string;
  cited?: true;
} & Cacheable;
export type RefusalPart = { type: 'refusal'; text: string };
/**
 * What a model thought. `signature` and `redacted` are opaque to us; a provider that signs its thoughts wants them back
 * unchanged, and only that protocol may get them: `origin`.
 */
export type ReasoningPart = {
  type: 'reasoning';
  text: string;
  id?: string;
  signature?: string;
  redacted?: string;
  origin?: Protocol;
};
/** `arguments` is JSON text, exactly as the model wrote it. */
export type ToolCallPart = {
  type: 'tool-call';
  id: string;
  name: string;
  arguments: string;
  signature?: string;
} & Cacheable;

export type UserPart = TextPart | ImagePart | AudioPart | FilePart;
export type AssistantPart = TextPart | RefusalPart | ReasoningPart | ToolCallPart | ImagePart;

export type Message =
  | { role: 'system' | 'developer'; parts: TextPart[]; name?: string }
  | { role: 'user'; parts: UserPart[]; name?: string }
  | { role: 'assistant'; parts: AssistantPart[]; name?: string; phase?: 'commentary' | 'final_answer' }
  | { role: 'tool'; toolCallId: string; parts: (TextPart | ImagePart | FilePart)[]; isError?: boolean };

export type Tool = {
  name: string;
  description?: string;
  /** JSON Schema of the arguments; absent means an empty object. */
  parameters?: JsonObject;
  strict?: boolean;
} & Cacheable;

export type ToolChoice =
  | 'none'
  | 'auto'
  | 'required'
  | { name: string }
  | { allowed: string[]; mode: 'auto' | 'required' };

export type ResponseFormat =
  | { type: 'text' }
  | { type: 'json' }
  | { type: 'json-schema'; name: string; schema: JsonObject; strict?: boolean; description?: string };

export type ReasoningEffort = 'none' | 'minimal' | 'low' | 'medium' | 'high' | 'xhigh';

/** What only the local engine understands: Ollama's `options`, `keep_alive`, `raw`, `template`, `system`. */
export type LocalOptions = {
  numCtx?: number;
  /** Requests that continue each other, where no `cacheKey` says it: the turns of one connection. */
  session?: string;
  /** Seconds to stay loaded after this request; negative = for ever, 0 = unload at once. */
  keepAlive?: number;
  /** Skip the chat template: the last user message is the whole prompt. */
  raw?: boolean;
  /** With `raw`: the prompt as the model's own token ids, instead of the last user message. */
  promptTokens?: number[];
  /** Go text/template that replaces the model's own for this request. */
  template?: string;
  /** Text that follows the insertion point (fill in the middle). */
  suffix?: string;
  minP?: number;
  typicalP?: number;
  repeatPenalty?: number;
  repeatLastN?: number;
  mirostat?: number;
  mirostatTau?: number;
  mirostatEta?: number;
  numKeep?: number;
  /** GBNF grammar, llama.cpp's own extension. */
  grammar?: string;
};

export type ChatRequest = {
  /** Public model name, as the client wrote it. The gateway turns it into a provider's own name. */
  model: string;
  /**
   * Empty only for a local model, as Ollama's door asks it: load the model (unload it when `local.keepAlive` is 0), say
   * nothing, and finish with no tokens.
   */
  messages: Message[];
  stream: boolean;
  tools?: Tool[];
  toolChoice?: ToolChoice;
  parallelToolCalls?: boolean;
  responseFormat?: ResponseFormat;
  /** Upper bound on generated tokens, reasoning included. */
  maxTokens?: number;
  temperature?: number;
  topP?: number;
  topK?: number;
  frequencyPenalty?: number;
  presencePenalty?: number;
  seed?: number;
  stop?: string[];
  logprobs?: boolean;
  topLogprobs?: number;
  logitBias?: Record<string, number>;
  /** How many answers; absent means one. */
  n?: number;
  /** Present without `effort` and `budgetTokens`: think, as hard as the model does by itself. `effort: 'none'`: do not. */
  reasoning?: { effort?: ReasoningEffort; budgetTokens?: number; summary?: 'auto' | 'concise' | 'detailed' };
  verbosity?: 'low' | 'medium' | 'high';
  /** Requests with the same key share a prompt cache where the provider has one. */
  cacheKey?: string;
  user?: string;
  metadata?: Record<string, string>;
  serviceTier?: string;
  local?: LocalOptions;
  /** Fields only one protocol knows (hosted tools among them), kept under its name and sent out to that protocol alone. */
  extras?: Partial<Record<Protocol, { [key: string]: Json }>>;
};

export type FinishReason = 'stop' | 'length' | 'tool-calls' | 'content-filter' | 'error';

export type TokenLogprob = {
  token: string;
  logprob: number;
  /** UTF-8 bytes of the token, null when it has none. */
  bytes: number[] | null;
  top: { token: string; logprob: number; bytes: number[] | null }[];
};

/**
 * A source of the answer, and which words of the answer stand on it. Only answers have them: a conversation that comes back is
 * taken without.
 */
export type Citation = {
  /**
   * The words: from one character up to another of all text of the answer (not refusals, not thoughts) put together, in Unicode code
   * points, as OpenAI counts. Absent: no words in particular.
   */
  span?: { start: number; end: number };
  url?: string;
  title?: string;
  /** The source's own words. */
  quote?: string;
  /** Where in what the request gave: the how-manieth document or search result, and from where up to where in it, counted as Anthropic counts. */
  place?: { in: 'characters' | 'pages' | 'blocks' | 'search-result'; index: number; start: number; end: number };
};

/** Where the time went, in milliseconds, and what the engine counted: Ollama's last record. Local models only. */
export type Timings = { load: number; promptEval: number; eval: number; total: number };

/**
 * What a model says, in order: one `start`, any number of deltas, one `finish`.
 * Failure is not an event: the iteration throws a ViaductError.
 */
export type ChatEvent =
  | { type: 'start'; id: string; model: string }
  /** `begins`: the first words of a piece of its own, where a provider cites by pieces. */
  | { type: 'text'; text: string; logprobs?: TokenLogprob[]; begins?: true }
  /** A source of what was said before; of what follows where it has no span and nothing was said yet. */
  | { type: 'citation'; citation: Citation }
  | { type: 'refusal'; text: string }
  /** A picture that the model made, whole. */
  | { type: 'image'; source: Source }
  | { type: 'reasoning'; text: string }
  /** Ends the current run of `reasoning`: what must come back with it, and to whom (`origin`). */
  | { type: 'reasoning-end'; id?: string; signature?: string; redacted?: string; origin?: Protocol }
  | { type: 'tool-call'; index: number; id: string; name: string; signature?: string }
  | { type: 'tool-input'; index: number; json: string }
  | {
      type: 'finish';
      reason: FinishReason;
      /** The provider's own word for it. */
      rawReason?: string;
      /** Which of `stop` ended it. */
      stopSequence?: string;
      usage: Usage;
      timings?: Timings;
      /** Why a tool call that the model tried is not among the calls: it did not validate. */
      toolError?: string;
    };

/**
 * Events in batches: one batch is what one read of the upstream gave, so that one write serves the client.
 * A batch is never empty.
 */
export type ChatStream = AsyncIterable<readonly ChatEvent[]>;

/** A whole answer. */
export type ChatResult = {
  id: string;
  model: string;
  /** Text, refusals, reasoning, tool calls and pictures in the order in which the model gave them. */
  parts: AssistantPart[];
  logprobs?: TokenLogprob[];
  citations?: Citation[];
  finish: Extract<ChatEvent, { type: 'finish' }>;
};
