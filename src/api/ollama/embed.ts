import { ViaductError } from '../../core/errors.ts';
import type { EmbedRequest, EmbedResult } from '../../core/provider.ts';
import type { Answer, Caller } from '../../gateway/gateway.ts';
import { decodeEmbed, wireEmbed } from '../../protocols/ollama.ts';
import type { Endpoint } from '../define.ts';
import { jsonBody, servedHeaders } from '../http.ts';

/** POST /api/embed — https://docs.ollama.com/api/embed */
export const embed: Endpoint = {
  method: 'POST',
  path: '/api/embed',
  body: wireEmbed,
  async handle({ request, reply, caller, services }) {
    const startedAt = services.now();
    const wanted = decodeEmbed(jsonBody(request));
    const { model } = wanted;
    if (wanted.input.length === 0) return reply.send({ model, embeddings: [] });
    const answer = await embedded(caller, wanted);
    const { vectors, usage } = answer.result;
    return reply.headers(servedHeaders(answer)).send({
      model,
      embeddings: vectors.map((vector) => Array.from(vector)),
      total_duration: nanoseconds(services.now() - startedAt),
      load_duration: nanoseconds(answer.report.loadMs ?? 0),
      prompt_eval_count: usage.input,
    });
  },
};

/** Run the call; an input that is too long fails in Ollama's words, which clients look for. */
export async function embedded(caller: Caller, request: EmbedRequest): Promise<Answer<EmbedResult>> {
  try {
    return await caller.embed(request);
  } catch (error) {
    if (!(error instanceof ViaductError) || error.code !== 'context_length_exceeded') throw error;
    throw new ViaductError(error.code, `the input length exceeds the context length: ${error.message}`, {
      param: 'input',
      cause: error,
    });
  }
}

/** Milliseconds → whole nanoseconds, never zero, which clients divide by. */
const nanoseconds = (ms: number) => Math.max(1, Math.round(ms * 1e6));
