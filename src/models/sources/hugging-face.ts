/**
 * `hf.co/ORG/REPO[:QUANT]`: GGUF files of a Hugging Face repository.
 * Source: https://huggingface.co/docs/hub/api, https://huggingface.co/docs/hub/ollama
 */
import { z } from 'zod';
import { ViaductError } from '../../core/errors.ts';
import type { JsonObject } from '../../core/json.ts';
import { type BlobRef, buildManifest } from '../build.ts';
import { displayName, type ModelName } from '../names.ts';
import { fetchBlob, needSpaceFor, type PullContext, type PullSource } from '../pull-context.ts';
import { send, sendSmall } from '../transfer.ts';

export const isHuggingFace = ({ host }: ModelName) => /^(hf\.co|huggingface\.co)$/i.test(host);

type RepositoryFile = { path: string; size: number; digest: string | undefined };

export const pullFromHuggingFace: PullSource = async (name, context) => {
  const hub = createHub(name, context);
  const files = await hub.list();
  const weightsFile = chooseWeights(files, name);
  const projectorFile = chooseProjector(files);
  const wanted = projectorFile ? [weightsFile, projectorFile] : [weightsFile];
  await needSpaceFor(context, wanted);
  const weights = await hub.fetch(weightsFile);
  const projectors = projectorFile ? [await hub.fetch(projectorFile)] : [];
  const [template, system, params] = await Promise.all(
    ['template', 'system', 'params'].map((file) => hub.text(files, file)),
  );
  return buildManifest(
    context.store,
    { weights, projectors, template, system, params: parseParams(params, displayName(name)) },
    context.hold,
  );
};

function createHub({ namespace, model }: ModelName, context: PullContext) {
  const { env, signal, settings, insecure, store } = context;
  const endpoint = (env['HF_ENDPOINT'] || 'https://huggingface.co').replace(/\/+$/, '');
  const token = env['HF_TOKEN'];
  const headers: Record<string, string> = token ? { authorization: `Bearer ${token}` } : {};
  const repository = `${namespace}/${model}`;
  const fileUrl = ({ path }: { path: string }) =>
    `${endpoint}/${repository}/resolve/main/${path.split('/').map(encodeURIComponent).join('/')}`;

  async function ask<Schema extends z.ZodType>(path: string, schema: Schema): Promise<z.infer<Schema> | undefined> {
    const { status, bytes, host } = await sendSmall(`${endpoint}/api/models/${repository}${path}`, {
      headers,
      signal,
      settings,
      insecure,
      limit: 16 * 2 ** 20,
    });
    if (status === 404 || status === 405) return undefined;
    if (status === 401 || status === 403)
      throw new ViaductError(
        'permission_denied',
        `${host} does not show ${repository}: it does not exist, or needs a token in HF_TOKEN.`,
      );
    if (status !== 200)
      throw new ViaductError('registry_unavailable', `${host} answers with status ${status} for ${repository}.`);
    return parseAnswer(bytes, schema, host);
  }

  return {
    /** Files of the repository: its tree, or the list in its description where there is no tree. */
    async list(): Promise<RepositoryFile[]> {
      const tree = await ask('/tree/main?recursive=true', treeSchema);
      if (tree)
        return tree.filter(({ type }) => type === 'file').map(({ path, size, lfs }) => describe(path, size, lfs?.oid));
      const about = await ask('?blobs=true', aboutSchema);
      if (about)
        return about.siblings.map(({ rfilename, size, lfs }) =>
          describe(rfilename, lfs?.size ?? size ?? 0, lfs?.sha256),
        );
      throw new ViaductError('model_not_found', `Hugging Face has no model "${repository}".`, { param: 'model' });
    },
    async fetch(file: RepositoryFile): Promise<BlobRef> {
      const { digest, size, path } = file;
      if (digest && (await store.findBlob(digest))) return { digest, size };
      return fetchBlob(context, {
        key: digest ?? `hf-${Buffer.from(`${repository}/${path}`).toString('hex').slice(-120)}`,
        digest,
        size: digest ? size : undefined,
        label: `${path} of ${repository}`,
        open: (range, within) =>
          send(fileUrl(file), {
            signal: within,
            settings,
            insecure,
            headers: { ...headers, ...(range && { range: `bytes=${range.start}-${range.end - 1}` }) },
          }),
      });
    },
    /** Text of a small file, when the repository has it. */
    async text(files: RepositoryFile[], path: string): Promise<string | undefined> {
      if (!files.some((file) => file.path === path)) return undefined;
      const { status, bytes } = await sendSmall(fileUrl({ path }), { headers, signal, settings, insecure });
      return status === 200 ? bytes.toString('utf8') : undefined;
    },
  };
}

const treeSchema = z.array(
  z.object({
    type: z.string().default('file'),
    path: z.string(),
    size: z.number().default(0),
    lfs: z.object({ oid: z.string() }).optional(),
  }),
);
const aboutSchema = z.object({
  siblings: z.array(
    z.object({
      rfilename: z.string(),
      size: z.number().optional(),
      lfs: z.object({ sha256: z.string(), size: z.number().optional() }).optional(),
    }),
  ),
});

function describe(path: string, size: number, sha256: string | undefined): RepositoryFile {
  const hex = sha256?.replace(/^sha256:/, '').toLowerCase();
  return { path, size, digest: hex && /^[0-9a-f]{64}$/.test(hex) ? `sha256:${hex}` : undefined };
}

function parseAnswer<Schema extends z.ZodType>(bytes: Buffer, schema: Schema, host: string): z.infer<Schema> {
  try {
    return schema.parse(JSON.parse(bytes.toString('utf8')));
  } catch (cause) {
    throw new ViaductError('registry_invalid_response', `${host} answers with something that is no list of files.`, {
      cause,
    });
  }
}

const isProjector = ({ path }: RepositoryFile) => /mmproj/i.test(path);
const isShard = ({ path }: RepositoryFile) => /-\d{5}-of-\d{5}\.gguf$/i.test(path);
const stem = ({ path }: RepositoryFile) => (path.split('/').at(-1) ?? '').replace(/\.gguf$/i, '');

/** Which quantisation stands for none: good answers for its size come first. */
const preferred = ['Q4_K_M', 'Q4_K_S', 'Q4_0', 'Q5_K_M', 'Q8_0'];

/**
 * The one file that `:QUANT` means: a quantisation in its name, or its whole name. Throws model_not_found, naming what
 * there is.
 */
function chooseWeights(files: RepositoryFile[], { tag, given, namespace, model }: ModelName): RepositoryFile {
  const all = files.filter((file) => /\.gguf$/i.test(file.path) && !isProjector(file) && !/imatrix/i.test(file.path));
  const repository = `${namespace}/${model}`;
  if (all.length === 0)
    throw new ViaductError('model_not_found', `${repository} has no GGUF file, so nothing that can be run here.`, {
      param: 'model',
    });
  const named = (quantization: string) =>
    all.filter((file) => new RegExp(`(^|[-._])${literal(quantization)}($|[-._])`, 'i').test(stem(file)));
  const byTag = given.tag && tag.toLowerCase() !== 'latest';
  const matches = byTag
    ? [...all.filter((file) => stem(file).toLowerCase() === tag.toLowerCase().replace(/\.gguf$/, '')), ...named(tag)]
    : [...preferred.flatMap(named), ...all];
  const chosen = matches.find((file) => !isShard(file));
  if (chosen) return chosen;
  if (matches[0])
    throw new ViaductError(
      'model_not_found',
      `${matches[0].path} of ${repository} comes in several files, which cannot be pulled. Try another quantisation.`,
      { param: 'model' },
    );
  throw new ViaductError(
    'model_not_found',
    `${repository} has no file for "${tag}". It has: ${all.map(stem).join(', ').slice(0, 1000)}`,
    { param: 'model' },
  );
}

const literal = (text: string) => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');

function chooseProjector(files: RepositoryFile[]): RepositoryFile | undefined {
  const all = files.filter((file) => /\.gguf$/i.test(file.path) && isProjector(file));
  return all.find((file) => /(^|[-._])f16\b/i.test(stem(file))) ?? all[0];
}

function parseParams(text: string | undefined, name: string): JsonObject {
  if (text === undefined) return {};
  try {
    return z.record(z.string(), z.json()).parse(JSON.parse(text)) as JsonObject;
  } catch (cause) {
    throw new ViaductError('registry_invalid_response', `The file "params" of ${name} is not a JSON object.`, {
      cause,
    });
  }
}
