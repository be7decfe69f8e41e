import type { Endpoint } from '../define.ts';

/** GET / and HEAD /: Ollama's sign of life, in its own words, which tools compare. */
export const root: Endpoint = {
  method: 'GET',
  path: '/',
  access: 'public',
  async handle({ reply }) {
    return reply.type('text/plain; charset=utf-8').send('Ollama is running');
  },
};
