/** Ollama's native API. Adding an endpoint = its file and its line here. */
import { encodeError } from '../../protocols/ollama.ts';
import type { FrontDoor } from '../define.ts';
import { chat } from './chat.ts';
import { embed } from './embed.ts';
import { embeddings } from './embeddings.ts';
import { generate } from './generate.ts';
import { ps } from './ps.ts';

export const ollama: FrontDoor = {
  endpoints: [ps, chat, generate, embed, embeddings],
  encodeError,
};
