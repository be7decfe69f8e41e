/**
 * What describes a model on disk and in a registry: an OCI manifest with Ollama's layer types, and its config blob.
 * Sources: https://github.com/opencontainers/distribution-spec, https://github.com/ollama/ollama (server/manifest, types/model).
 */
import { z } from 'zod';
import { ViaductError } from '../core/errors.ts';

export const mediaTypes = {
  manifest: 'application/vnd.docker.distribution.manifest.v2+json',
  config: 'application/vnd.docker.container.image.v1+json',
  model: 'application/vnd.ollama.image.model',
  projector: 'application/vnd.ollama.image.projector',
  adapter: 'application/vnd.ollama.image.adapter',
  template: 'application/vnd.ollama.image.template',
  /** What very old Ollama models use instead of `template`. */
  prompt: 'application/vnd.ollama.image.prompt',
  system: 'application/vnd.ollama.image.system',
  params: 'application/vnd.ollama.image.params',
  messages: 'application/vnd.ollama.image.messages',
  license: 'application/vnd.ollama.image.license',
} as const;

/** `sha256:` and 64 hex digits, lower case. */
export type Digest = string;

const digest = z.string().regex(/^sha256:[0-9a-f]{64}$/, 'is not "sha256:" and 64 hex digits');

const layer = z.object({
  mediaType: z.string(),
  digest,
  /** Bytes. */
  size: z.number().int().nonnegative(),
  /** The model or file the layer was made from; Ollama writes it, nobody reads it. */
  from: z.string().optional(),
});

const manifest = z.object({
  schemaVersion: z.literal(2),
  mediaType: z.string().optional(),
  config: layer,
  layers: z.array(layer),
});

export type Layer = z.infer<typeof layer>;
export type Manifest = z.infer<typeof manifest>;

/** The config blob: what a listing shows without opening the weights. */
export type ModelConfig = z.infer<typeof modelConfig>;
const modelConfig = z.object({
  model_format: z.string().default(''),
  model_family: z.string().default(''),
  model_families: z.array(z.string()).nullish(),
  /** Parameters, for people: `134.5M`. */
  model_type: z.string().default(''),
  /** Quantisation: `Q4_K_M`. */
  file_type: z.string().default(''),
  architecture: z.string().optional(),
  os: z.string().optional(),
  rootfs: z.object({ type: z.string(), diff_ids: z.array(z.string()).nullish() }).optional(),
  /** Ollama's declared capabilities, where its registry gives them. */
  capabilities: z.array(z.string()).nullish(),
  /** What only Viaduct writes. */
  viaduct: z.object({ template: z.literal('user').optional(), parent: z.string().optional() }).optional(),
});

/** A stranger's bytes → manifest. `where` names the registry or the file. Throws registry_invalid_response. */
export function parseManifest(bytes: Buffer, where: string): Manifest {
  const json = parseJson(bytes, `The manifest from ${where}`);
  if (json !== null && typeof json === 'object' && 'manifests' in json)
    throw invalid(`${where} answered with an image index, not with a model's manifest.`);
  return check(manifest, json, `The manifest from ${where}`);
}

/** Bytes of a config blob → config. Throws registry_invalid_response. */
export function parseConfig(bytes: Buffer, where: string): ModelConfig {
  return check(modelConfig, parseJson(bytes, `The config of ${where}`), `The config of ${where}`);
}

export const isDigest = (text: string): boolean => digest.safeParse(text).success;

/** Every blob that a manifest needs, each digest once. */
export function blobsOf({ config, layers }: Manifest): Layer[] {
  return [...new Map([...layers, config].map((entry) => [entry.digest, entry])).values()];
}

function parseJson(bytes: Buffer, what: string): unknown {
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch (cause) {
    const start = bytes.subarray(0, 200).toString('utf8').trimStart();
    throw invalid(start.startsWith('<') ? `${what} is a web page, not JSON.` : `${what} is not valid JSON.`, cause);
  }
}

function check<Schema extends z.ZodType>(schema: Schema, json: unknown, what: string): z.infer<Schema> {
  const result = schema.safeParse(json);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  throw invalid(`${what} is not a model's: ${issue?.path.join('.') || 'it'}: ${issue?.message}.`);
}

const invalid = (message: string, cause?: unknown) => new ViaductError('registry_invalid_response', message, { cause });
