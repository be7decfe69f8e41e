import { decodeEmbeddings, wireEmbeddings } from '../../protocols/ollama.ts';
import type { Endpoint } from '../define.ts';
import { jsonBody, servedHeaders } from '../http.ts';
import { embedded } from './embed.ts';

/** POST /api/embeddings, the older way to one vector — https://docs.ollama.com/api/embed */
export const embeddings: Endpoint = {
  method: 'POST',
  path: '/api/embeddings',
  body: wireEmbeddings,
  async handle({ request, reply, caller }) {
    const wanted = decodeEmbeddings(jsonBody(request));
    if (wanted.input.length === 0) return reply.send({ embedding: [] });
    const answer = await embedded(caller, wanted);
    const [vector = []] = answer.result.vectors;
    return reply.headers(servedHeaders(answer)).send({ embedding: Array.from(vector) });
  },
};
