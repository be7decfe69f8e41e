/**
 * The models on this machine, in Ollama's own on-disk layout: `manifests/HOST/NAMESPACE/MODEL/TAG` and `blobs/sha256-…`.
 * A store is a list of such folders: the first is written to, the others (Ollama's own) are read in place.
 */

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
  /** Bytes of all layers. */
  size: number;
  /** Milliseconds since 1970. */
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
  messages: { role: string; content: string }[];
  /** Text of each licence layer. */
  licenses: string[];
  gguf: GgufInfo;
  projector?: GgufInfo;
  capabilities: Capability[];
};

export type ModelStore = {
  /** Every whole model, newest first. */
  list(): Promise<StoredModel[]>;
  /**
   * The model behind a client's name (`smollm2:135m`, `smollm2:135m@sha256:…`, any case); cached until its manifest changes.
   * Throws invalid_model_name; model_not_found, whose message lists what is installed and how to pull; lock_drift;
   * model_load_failed when a file of it is missing or broken.
   */
  resolve(name: string): Promise<ResolvedModel>;
  /** What `resolve` would give, from memory: no disk, no promise. Undefined when unknown; an index read at most 2 s ago is asked. */
  peek(name: string): StoredModel | undefined;
};
