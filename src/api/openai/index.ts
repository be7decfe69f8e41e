/** The OpenAI-compatible front door. Adding an endpoint = its file and its line here. */
import type { ViaductError } from '../../core/errors.ts';
import type { FrontDoor } from '../define.ts';

export const openai: FrontDoor = {
  endpoints: [],
  encodeError: (error: ViaductError) => ({
    error: { message: error.message, type: error.type, param: error.param ?? null, code: error.code },
  }),
};
