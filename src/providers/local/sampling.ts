/** A request's sampling settings as the engine names them: the request's own, below them the Modelfile's. */
import type { ChatRequest } from '../../core/chat.ts';
import { ViaductError } from '../../core/errors.ts';
import type { Json, JsonObject } from '../../core/json.ts';

/** Parameters of a Modelfile that the engine knows by the same name. */
const sameName = [
  'temperature',
  'top_k',
  'top_p',
  'min_p',
  'typical_p',
  'repeat_last_n',
  'repeat_penalty',
  'presence_penalty',
  'frequency_penalty',
  'mirostat',
  'mirostat_tau',
  'mirostat_eta',
  'seed',
];

/**
 * Fields for `/completion` and `/v1/chat/completions` alike, for a model with `vocabulary` tokens. Throws
 * invalid_request for a bad logit_bias.
 * Source: https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md
 */
export function samplingFields(request: ChatRequest, params: JsonObject, vocabulary?: number): JsonObject {
  const fields: JsonObject = {};
  for (const name of sameName) if (typeof params[name] === 'number') fields[name] = params[name];
  const { local = {} } = request;
  const asked: Record<string, Json | undefined> = {
    temperature: request.temperature,
    top_p: request.topP,
    top_k: request.topK,
    min_p: local.minP,
    typical_p: local.typicalP,
    frequency_penalty: request.frequencyPenalty,
    presence_penalty: request.presencePenalty,
    repeat_penalty: local.repeatPenalty,
    repeat_last_n: local.repeatLastN,
    mirostat: local.mirostat,
    mirostat_tau: local.mirostatTau,
    mirostat_eta: local.mirostatEta,
  };
  for (const [name, value] of Object.entries(asked)) if (value !== undefined) fields[name] = value;
  if (request.seed !== undefined) fields['seed'] = seed(request.seed);
  if (request.logitBias) fields['logit_bias'] = logitBias(request.logitBias, vocabulary);
  const limit = maxTokens(request, params);
  if (limit !== undefined) fields['n_predict'] = limit;
  const stop = stopSequences(request, params);
  if (stop.length > 0) fields['stop'] = stop;
  return fields;
}

/** The request's, else the Modelfile's `num_predict`; undefined means until the end or the context's end. */
export function maxTokens(request: ChatRequest, params: JsonObject): number | undefined {
  const limit = request.maxTokens ?? params['num_predict'];
  return typeof limit === 'number' && limit >= 0 ? limit : undefined;
}

/** The Modelfile's belong to the model's template and hold besides the request's own. */
export function stopSequences(request: ChatRequest, params: JsonObject): string[] {
  const stored = params['stop'];
  const ofModel = (Array.isArray(stored) ? stored : [stored]).filter((word) => typeof word === 'string');
  return [...new Set([...(request.stop ?? []), ...ofModel])].filter((word) => word !== '');
}

/**
 * The engine keeps 32 bits, of which all ones means "random": a Modelfile may ask for that, a request that names a seed
 * does not.
 */
function seed(value: number): number {
  return Number(BigInt.asUintN(32, BigInt(Math.trunc(value)))) % 0xffffffff;
}

function logitBias(bias: Record<string, number>, vocabulary = Infinity): Json {
  return Object.entries(bias).map(([token, value]) => {
    const id = Number(token);
    if (!Number.isInteger(id) || id < 0)
      throw new ViaductError('invalid_request', `logit_bias has the key "${token}", which is not a token's number.`, {
        param: 'logit_bias',
      });
    if (id >= vocabulary)
      throw new ViaductError(
        'invalid_request',
        `Invalid key in 'logit_bias': ${id}. The model's tokens are 0 to ${vocabulary - 1}.`,
        { param: 'logit_bias' },
      );
    // At -100 OpenAI bans a token; the engine's word for that is false.
    return [id, value <= -100 ? false : value];
  });
}
