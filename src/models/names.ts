/**
 * Model names, read as Ollama reads them: `[SCHEME://][HOST/][NAMESPACE/]MODEL[:TAG][@sha256:…]`.
 * Every part may become a folder on disk, so nothing but the parts' own characters ever gets through.
 * Source: https://github.com/ollama/ollama/blob/main/types/model/name.go
 */
import { ViaductError } from '../core/errors.ts';
import { type Digest, isDigest } from './manifest.ts';

export const defaultHost = 'registry.ollama.ai';
const defaultNamespace = 'library';
const defaultTag = 'latest';

export type ModelName = {
  host: string;
  namespace: string;
  model: string;
  tag: string;
  /** The exact manifest, or the exact weights, that are asked for. */
  digest?: Digest;
  /** Given as `http://…` or `https://…`. */
  scheme?: 'http' | 'https';
  /** False where a part was left out and the default stands in. */
  given: { host: boolean; tag: boolean };
};

const kinds = {
  host: { longest: 350, pattern: /^[a-z0-9_][\w.:-]*$/i },
  namespace: { longest: 80, pattern: /^[a-z0-9_][\w-]*$/i },
  model: { longest: 80, pattern: /^[a-z0-9_][\w.-]*$/i },
  tag: { longest: 80, pattern: /^[a-z0-9_][\w.-]*$/i },
} as const;

/** Text → name, defaults filled in. Throws invalid_model_name. */
export function parseName(text: string): ModelName {
  const [withoutDigest = '', digest, ...tooMany] = text.split('@');
  if (tooMany.length > 0 || (digest !== undefined && !isDigest(digest)))
    throw invalid(text, 'after "@" stands a digest: "sha256:" and 64 hex digits');
  const scheme = /^(https?):\/\//.exec(withoutDigest)?.[1] as ModelName['scheme'];
  const path = scheme ? withoutDigest.slice(scheme.length + 3) : withoutDigest;

  // A colon after the last slash ends the model; one before it belongs to the host's port.
  const slash = path.lastIndexOf('/');
  const colon = path.lastIndexOf(':');
  const tag = colon > slash ? path.slice(colon + 1) : undefined;
  const parts = (colon > slash ? path.slice(0, colon) : path).split('/');
  if (parts.length > 3) throw invalid(text, 'it has more parts than HOST/NAMESPACE/MODEL');
  const model = parts.pop() ?? '';
  const namespace = parts.pop();
  const host = parts.pop();
  if (scheme && host === undefined) throw invalid(text, 'after a scheme stand a host, a namespace and a model');

  const name: ModelName = {
    host: host ?? defaultHost,
    namespace: namespace ?? defaultNamespace,
    model,
    tag: tag ?? defaultTag,
    ...(digest !== undefined && { digest }),
    ...(scheme && { scheme }),
    given: { host: host !== undefined, tag: tag !== undefined },
  };
  for (const kind of ['host', 'namespace', 'model', 'tag'] as const) checkPart(text, kind, name[kind]);
  return name;
}

function checkPart(text: string, kind: keyof typeof kinds, part: string) {
  const { longest, pattern } = kinds[kind];
  if (part === '') throw invalid(text, `its ${kind} is empty`);
  if (part.length > longest) throw invalid(text, `its ${kind} is longer than ${longest} characters`);
  if (!pattern.test(part)) throw invalid(text, `"${part}" cannot be a ${kind}`);
}

const invalid = (text: string, why: string) =>
  new ViaductError('invalid_model_name', `"${shorten(text)}" is not a model name: ${why}.`, { param: 'model' });

const shorten = (text: string) => (text.length > 200 ? `${text.slice(0, 200)}…` : text);

/** The shortest text that means this name, tag always included: what `list` shows. */
export function displayName({ host, namespace, model, tag }: ModelName): string {
  if (!sameText(host, defaultHost)) return `${host}/${namespace}/${model}:${tag}`;
  if (!sameText(namespace, defaultNamespace)) return `${namespace}/${model}:${tag}`;
  return `${model}:${tag}`;
}

/** Equal for names that mean the same model: case does not count, digest and scheme are no part of it. */
export const nameKey = ({ host, namespace, model, tag }: ModelName) =>
  `${host}/${namespace}/${model}:${tag}`.toLowerCase();

const sameText = (a: string, b: string) => a.toLowerCase() === b.toLowerCase();
