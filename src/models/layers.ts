/** The layers of a stored model, read: template, system prompt, parameters, messages, licences, and the weights' headers. */
import { readFile } from 'node:fs/promises';
import { ViaductError } from '../core/errors.ts';
import type { JsonObject } from '../core/json.ts';
import { capabilitiesOf } from './capabilities.ts';
import { readGguf } from './gguf.ts';
import { type Digest, type Layer, mediaTypes } from './manifest.ts';
import type { ResolvedModel, StoredMessage, StoredModel } from './model.ts';

/** A stored model, its layers read. `find` gives the path of a blob. Throws model_load_failed naming model and file. */
export async function readLayers(
  stored: StoredModel,
  find: (digest: Digest) => Promise<string | undefined>,
): Promise<ResolvedModel> {
  const { manifest, config, name } = stored;
  const pathOf = async ({ digest }: Layer) => {
    const path = await find(digest);
    if (path) return path;
    throw new ViaductError(
      'model_load_failed',
      `A file of ${name} is missing: ${digest}. Pull the model again: viaduct pull ${name}`,
    );
  };
  const layers = (...types: string[]) => manifest.layers.filter(({ mediaType }) => types.includes(mediaType));
  const texts = (...types: string[]) =>
    Promise.all(layers(...types).map(async (layer) => readFile(await pathOf(layer), 'utf8')));
  const paths = (type: string) => Promise.all(layers(type).map(pathOf));

  const [modelPath, secondModel] = await paths(mediaTypes.model);
  if (!modelPath)
    throw new ViaductError('model_load_failed', `${name} has no weights in GGUF, so it cannot be run here.`);
  if (secondModel)
    throw new ViaductError('model_load_failed', `${name} has weights in several files, which cannot be run.`);
  const [projectorPath] = await paths(mediaTypes.projector);
  const gguf = await readGguf(modelPath);
  const projector = projectorPath === undefined ? undefined : await readGguf(projectorPath);
  const template = (await texts(mediaTypes.template, mediaTypes.prompt)).at(-1);
  const system = (await texts(mediaTypes.system)).at(-1);

  return {
    ...stored,
    modelPath,
    ...(projectorPath !== undefined && { projectorPath }),
    adapterPaths: await paths(mediaTypes.adapter),
    ...(template !== undefined && { template }),
    templateFromUser: config.viaduct?.template === 'user',
    ...(system !== undefined && { system }),
    params: Object.assign({}, ...jsonLayers<JsonObject>(await texts(mediaTypes.params), name)),
    messages: jsonLayers<StoredMessage[]>(await texts(mediaTypes.messages), name).flat(),
    licenses: await texts(mediaTypes.license),
    gguf,
    ...(projector && { projector }),
    capabilities: capabilitiesOf(gguf, template, projector !== undefined),
  };
}

function jsonLayers<T>(texts: string[], name: string): T[] {
  return texts.map((text) => {
    try {
      return JSON.parse(text);
    } catch (cause) {
      throw new ViaductError('model_load_failed', `A parameters layer of ${name} is not valid JSON.`, { cause });
    }
  });
}
