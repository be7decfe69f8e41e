/** A new model from one that is here, or from GGUF files that were uploaded as blobs. */
import { stat } from 'node:fs/promises';
import { ViaductError } from '../core/errors.ts';
import type { JsonObject } from '../core/json.ts';
import { type BlobRef, buildManifest, type ModelParts } from './build.ts';
import { type GgufInfo, readGguf } from './gguf.ts';
import { compileGoTemplate, GoTemplateError } from './go-template.ts';
import { type Digest, isDigest, mediaTypes } from './manifest.ts';
import type { ResolvedModel, StoredMessage, StoredModel } from './model.ts';
import { parseName } from './names.ts';
import { checkParameters } from './parameters.ts';
import type { PullProgress } from './pull-context.ts';
import type { ModelStore } from './store.ts';

export type CreateRequest = {
  name: string;
  /** A model; pulled when it is not here. */
  from?: string | undefined;
  /** Name of each file → digest of the blob it was uploaded as: weights, projectors, adapters, told apart by their headers. */
  files?: Record<string, Digest> | undefined;
  adapters?: Record<string, Digest> | undefined;
  template?: string | undefined;
  system?: string | undefined;
  params?: JsonObject | undefined;
  messages?: StoredMessage[] | undefined;
  licenses?: string[] | undefined;
  quantize?: string | undefined;
};

export type CreateOptions = {
  onProgress?: (progress: PullProgress) => void;
  /** Brings `from` here when it is missing. */
  pull: (name: string) => Promise<StoredModel>;
};

/**
 * Throws invalid_request for missing or unusable files, invalid_modelfile for parameters, not_implemented for
 * safetensors and quantisation, and what `pull` and the store throw.
 */
export async function createModel(
  store: ModelStore,
  request: CreateRequest,
  options: CreateOptions,
): Promise<StoredModel> {
  const { onProgress = () => {}, pull } = options;
  const name = parseName(request.name);
  const params = checkParameters(request.params ?? {});
  if (request.template !== undefined) checkTemplate(request.template);
  const releases: (() => void)[] = [];
  const hold = (digests: Digest[]) => {
    releases.push(store.hold(digests));
  };
  try {
    const base = request.from === undefined ? undefined : await findBase(store, request.from, pull);
    const files = await sortFiles(store, request, hold);
    if (Object.keys(request.files ?? {}).length > 0) onProgress({ status: 'parsing GGUF' });
    const parts = combine(request, params, base, files);
    checkQuantization(request.quantize, base, files);
    for (const { digest } of [parts.weights, ...(parts.projectors ?? []), ...(parts.adapters ?? [])]) {
      hold([digest]);
      onProgress({ status: `using existing layer ${digest}` });
    }
    const bytes = await buildManifest(store, parts, hold);
    onProgress({ status: 'writing manifest' });
    const stored = await store.writeManifest(name, bytes);
    onProgress({ status: 'success' });
    return stored;
  } finally {
    for (const release of releases) release();
  }
}

function checkTemplate(template: string) {
  try {
    compileGoTemplate(template);
  } catch (cause) {
    if (!(cause instanceof GoTemplateError)) throw cause;
    throw new ViaductError('invalid_modelfile', `TEMPLATE is not a Go template: ${cause.message}`, {
      param: 'template',
      cause,
    });
  }
}

async function findBase(store: ModelStore, from: string, pull: CreateOptions['pull']): Promise<ResolvedModel> {
  if (!(await store.find(parseName(from)))) await pull(from);
  return store.resolve(from);
}

type SortedFiles = { weights: (BlobRef & { gguf: GgufInfo })[]; projectors: BlobRef[]; adapters: BlobRef[] };

async function sortFiles(
  store: ModelStore,
  { files = {}, adapters = {} }: CreateRequest,
  hold: (digests: Digest[]) => void,
): Promise<SortedFiles> {
  const sorted: SortedFiles = { weights: [], projectors: [], adapters: [] };
  for (const [file, digest] of Object.entries(files)) {
    const { ref, gguf } = await openUpload(store, file, digest, 'files', hold);
    if (gguf.architecture === 'clip' || gguf.type === 'projector' || gguf.type === 'mmproj')
      sorted.projectors.push(ref);
    else if (gguf.type === 'adapter') sorted.adapters.push(ref);
    else sorted.weights.push({ ...ref, gguf });
  }
  for (const [file, digest] of Object.entries(adapters))
    sorted.adapters.push((await openUpload(store, file, digest, 'adapters', hold)).ref);
  return sorted;
}

async function openUpload(
  store: ModelStore,
  file: string,
  digest: Digest,
  field: string,
  hold: (digests: Digest[]) => void,
): Promise<{ ref: BlobRef; gguf: GgufInfo }> {
  const fail = (why: string, cause?: unknown) =>
    new ViaductError('invalid_request', `${file}: ${why}`, { param: `${field}.${file}`, cause });
  if (!isDigest(digest)) throw fail('its digest must be "sha256:" and 64 hex digits.');
  if (/\.(safetensors|bin|pt|pth)$/i.test(file))
    throw new ViaductError(
      'not_implemented',
      `${file} is not in GGUF. Convert the folder first with llama.cpp's convert_hf_to_gguf.py, then create from its GGUF file.`,
      { param: `${field}.${file}` },
    );
  const path = await store.findBlob(digest);
  if (!path) throw fail(`there is no blob ${digest}. Upload it first: POST /api/blobs/${digest}`);
  hold([digest]);
  try {
    return { ref: { digest, size: (await stat(path)).size }, gguf: await readGguf(path) };
  } catch (thrown) {
    throw fail(ViaductError.from(thrown).message.replace(path, 'it'), thrown);
  }
}

/** What the request says, over what the base has. */
function combine(
  request: CreateRequest,
  params: JsonObject,
  base: ResolvedModel | undefined,
  files: SortedFiles,
): ModelParts {
  const [own, second] = files.weights;
  const inherited = (mediaType: string) => base?.manifest.layers.filter((layer) => layer.mediaType === mediaType) ?? [];
  if (second || (own && base))
    throw new ViaductError('invalid_request', 'Two files or models bring weights; a model has one.', {
      param: 'files',
    });
  const weights = own ?? inherited(mediaTypes.model)[0];
  if (!weights)
    throw new ViaductError('invalid_request', 'Neither "from" nor "files" brings weights.', {
      param: files.projectors.length > 0 ? 'files' : 'from',
    });
  const template = request.template ?? base?.template;
  return {
    weights: { digest: weights.digest, size: weights.size },
    projectors: files.projectors.length > 0 ? files.projectors : inherited(mediaTypes.projector),
    adapters: files.adapters.length > 0 ? files.adapters : inherited(mediaTypes.adapter),
    template,
    templateFromUser: request.template !== undefined || (base?.templateFromUser ?? false),
    system: request.system ?? base?.system,
    params: { ...base?.params, ...params },
    messages: request.messages?.length ? request.messages : (base?.messages ?? []),
    licenses: [...(base?.licenses ?? []), ...(request.licenses ?? [])],
    ...(base && { parent: base.name }),
  };
}

/** What is asked for may be there already; making it would need llama.cpp's quantiser, which the engine package lacks. */
function checkQuantization(wanted: string | undefined, base: ResolvedModel | undefined, files: SortedFiles) {
  if (!wanted) return;
  const has = files.weights[0]?.gguf.quantization ?? base?.gguf.quantization;
  if (has?.toLowerCase() === wanted.toLowerCase()) return;
  throw new ViaductError(
    'not_implemented',
    `The weights are ${has}, and Viaduct cannot make ${wanted} of them. Use llama.cpp's llama-quantize, then create from its file.`,
    { param: 'quantize' },
  );
}
