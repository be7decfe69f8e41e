/** What the rest of Viaduct knows of a local model. Sizes in bytes, times in milliseconds since 1970. */
import type { JsonObject } from '../core/json.ts';
import type { Capability } from '../core/provider.ts';
import type { GgufInfo } from './gguf.ts';
import type { Digest, Manifest, ModelConfig } from './manifest.ts';

/** One line of a listing. */
export type StoredModel = {
  /** Shortest form, tag included: `smollm2:135m`, `hf.co/org/repo:Q4_K_M`. */
  name: string;
  /** Of the manifest's bytes: what `x-viaduct-digest` and viaduct.lock say. */
  digest: Digest;
  manifest: Manifest;
  config: ModelConfig;
  /** Bytes of all blobs. */
  size: number;
  modifiedAt: number;
  /** False for what Ollama wrote: it can be used, not changed. */
  writable: boolean;
};

/** A model with everything that is needed to run it. */
export type ResolvedModel = StoredModel & {
  /** Weights, a GGUF file. */
  modelPath: string;
  /** Image encoder, a GGUF file. */
  projectorPath?: string;
  /** LoRA adapters, GGUF files. */
  adapterPaths: string[];
  /** Go text/template of the template layer. Absent when there is none: the GGUF's own Jinja template rules. */
  template?: string;
  /** True when a person wrote the template in a Modelfile: it must then be used. */
  templateFromUser: boolean;
  system?: string;
  /** Parsed params layer, Ollama's names: `num_ctx`, `stop` (an array), `temperature`, … */
  params: JsonObject;
  /** Turns that come before every conversation. */
  messages: StoredMessage[];
  /** Text of each licence layer. */
  licenses: string[];
  gguf: GgufInfo;
  projector?: GgufInfo;
  capabilities: Capability[];
};

export type StoredMessage = { role: string; content: string };
