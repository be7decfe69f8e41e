/** The OpenAI-compatible front door. Adding an endpoint = its file and its line here. */
import { encodeError } from '../../protocols/openai-error.ts';
import type { FrontDoor } from '../define.ts';
import { chatCompletions } from './chat-completions.ts';
import { completions } from './completions.ts';
import { embeddings } from './embeddings.ts';
import { imagesGenerations } from './images-generations.ts';
import { model } from './model.ts';
import { models } from './models.ts';
import { rerank } from './rerank.ts';

export const openai: FrontDoor = {
  endpoints: [chatCompletions, completions, embeddings, models, model, rerank, imagesGenerations],
  encodeError,
};
