/**
 * What PARAMETER may set, and its type.
 * Source: https://github.com/ollama/ollama/blob/main/docs/modelfile.mdx, api/types.go (Options)
 */
import { ViaductError } from '../core/errors.ts';
import type { Json, JsonObject } from '../core/json.ts';

const kinds: Record<string, 'integer' | 'number' | 'boolean' | 'texts'> = {
  num_ctx: 'integer',
  num_batch: 'integer',
  num_gpu: 'integer',
  main_gpu: 'integer',
  num_thread: 'integer',
  num_keep: 'integer',
  num_predict: 'integer',
  seed: 'integer',
  top_k: 'integer',
  repeat_last_n: 'integer',
  mirostat: 'integer',
  temperature: 'number',
  top_p: 'number',
  min_p: 'number',
  typical_p: 'number',
  tfs_z: 'number',
  repeat_penalty: 'number',
  presence_penalty: 'number',
  frequency_penalty: 'number',
  mirostat_tau: 'number',
  mirostat_eta: 'number',
  penalize_newline: 'boolean',
  use_mmap: 'boolean',
  use_mlock: 'boolean',
  low_vram: 'boolean',
  numa: 'boolean',
  stop: 'texts',
};

/** Text of a Modelfile's PARAMETER → value; `stop` gives a text, one of several. Throws invalid_modelfile. */
export function parameterFromText(name: string, text: string): Json {
  switch (kinds[name]) {
    case 'integer':
    case 'number': {
      const value = Number(text);
      return checkParameter(name, text.trim() === '' ? text : value);
    }
    case 'boolean':
      return checkParameter(name, text === 'true' ? true : text === 'false' ? false : text);
    case 'texts':
      return text;
    default:
      throw unknown(name);
  }
}

/** Throws invalid_modelfile, naming the parameter, for one that does not exist or has another type. */
export function checkParameters(params: JsonObject): JsonObject {
  return Object.fromEntries(Object.entries(params).map(([name, value]) => [name, checkParameter(name, value)]));
}

function checkParameter(name: string, value: Json): Json {
  const kind = kinds[name];
  if (!kind) throw unknown(name);
  if (kind === 'integer' && Number.isSafeInteger(value)) return value;
  if (kind === 'number' && typeof value === 'number' && Number.isFinite(value)) return value;
  if (kind === 'boolean' && typeof value === 'boolean') return value;
  if (kind === 'texts') {
    const texts = Array.isArray(value) ? value : [value];
    if (texts.every((text) => typeof text === 'string')) return texts;
  }
  const what = { integer: 'a whole number', number: 'a number', boolean: 'true or false', texts: 'text' }[kind];
  throw new ViaductError(
    'invalid_modelfile',
    `The parameter "${name}" must be ${what}, not ${JSON.stringify(value)}.`,
    {
      param: `parameters.${name}`,
    },
  );
}

const unknown = (name: string) =>
  new ViaductError('invalid_modelfile', `There is no parameter "${name.slice(0, 100)}".`, {
    param: `parameters.${name}`,
  });
