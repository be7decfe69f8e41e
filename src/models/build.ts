/** Parts of a model → its manifest: the small blobs are written, the config is made from the weights' header. */

import { ViaductError } from '../core/errors.ts';
import type { JsonObject } from '../core/json.ts';
import { type GgufInfo, readGguf } from './gguf.ts';
import { type Digest, type Layer, type Manifest, type ModelConfig, mediaTypes } from './manifest.ts';
import type { StoredMessage } from './model.ts';
import type { ModelStore } from './store.ts';

export type BlobRef = { digest: Digest; size: number };

/** Big blobs are in the store already. */
export type ModelParts = {
  weights: BlobRef;
  projectors?: BlobRef[];
  adapters?: BlobRef[];
  /** Go text/template. */
  template?: string | undefined;
  /** A person wrote the template. */
  templateFromUser?: boolean;
  system?: string | undefined;
  params?: JsonObject;
  messages?: StoredMessage[];
  licenses?: string[];
  /** The model it was made from. */
  parent?: string;
};

/** Bytes of the manifest: the same parts always give the same bytes. Throws model_load_failed for weights that are no GGUF. */
export async function buildManifest(store: ModelStore, parts: ModelParts, hold: (digests: Digest[]) => void) {
  const {
    weights,
    projectors = [],
    adapters = [],
    template,
    system,
    params = {},
    messages = [],
    licenses = [],
  } = parts;
  const write = async (mediaType: string, text: string): Promise<Layer> => {
    const blob = await store.writeBlob(Buffer.from(text));
    hold([blob.digest]);
    return { mediaType, ...blob };
  };
  const big = (mediaType: string, blobs: BlobRef[]) => blobs.map(({ digest, size }) => ({ mediaType, digest, size }));

  const layers: Layer[] = [
    ...big(mediaTypes.model, [weights]),
    ...big(mediaTypes.projector, projectors),
    ...big(mediaTypes.adapter, adapters),
  ];
  if (template !== undefined) layers.push(await write(mediaTypes.template, template));
  if (system) layers.push(await write(mediaTypes.system, system));
  for (const license of licenses) layers.push(await write(mediaTypes.license, license));
  if (Object.keys(params).length > 0) layers.push(await write(mediaTypes.params, JSON.stringify(params)));
  if (messages.length > 0) layers.push(await write(mediaTypes.messages, JSON.stringify(messages)));

  const config = configOf(await readBlob(store, weights.digest), layers, parts);
  const manifest: Manifest = {
    schemaVersion: 2,
    mediaType: mediaTypes.manifest,
    config: await write(mediaTypes.config, JSON.stringify(config)),
    layers,
  };
  return Buffer.from(JSON.stringify(manifest));
}

async function readBlob(store: ModelStore, digest: Digest): Promise<GgufInfo> {
  const path = await store.findBlob(digest);
  if (!path) throw new ViaductError('conflict', `The weights ${digest} were removed meanwhile. Try again.`);
  return readGguf(path);
}

function configOf(gguf: GgufInfo, layers: Layer[], { projectors, templateFromUser, parent }: ModelParts): ModelConfig {
  const { architecture, parameterCount, quantization } = gguf;
  return {
    model_format: 'gguf',
    model_family: architecture,
    model_families: projectors?.length ? [architecture, 'clip'] : [architecture],
    model_type: formatCount(parameterCount),
    file_type: quantization,
    architecture: 'amd64',
    os: 'linux',
    rootfs: { type: 'layers', diff_ids: layers.map(({ digest }) => digest) },
    ...((templateFromUser || parent) && {
      viaduct: { ...(templateFromUser && { template: 'user' }), ...(parent && { parent }) },
    }),
  };
}

/** `134.52M`, `7.6B`: how Ollama writes a number of parameters. */
function formatCount(count: number): string {
  if (count >= 1e9) return `${trim((count / 1e9).toFixed(1))}B`;
  if (count >= 1e6) return `${trim((count / 1e6).toFixed(2))}M`;
  return count >= 1e3 ? `${Math.round(count / 1e3)}K` : String(count);
}

const trim = (text: string) => text.replace(/\.0+$/, '');
