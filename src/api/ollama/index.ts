/** Ollama's native API. Adding an endpoint = its file and its line here. */
import type { FrontDoor } from '../define.ts';

export const ollama: FrontDoor = {
  endpoints: [],
  encodeError: (error) => ({ error: error.message }),
};
