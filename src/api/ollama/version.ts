import type { Endpoint } from '../define.ts';

/** The Ollama whose API this is: clients refuse to talk to one that is too old. */
const ollamaVersion = '0.13.0';

/** GET /api/version — https://docs.ollama.com/api-reference/get-version */
export const version: Endpoint = {
  method: 'GET',
  path: '/api/version',
  access: 'public',
  async handle({ reply }) {
    reply.send({ version: ollamaVersion });
  },
};
