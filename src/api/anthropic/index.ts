/** The Anthropic-compatible front door. Adding an endpoint = its file and its line here. */
import type { FrontDoor } from '../define.ts';

export const anthropic: FrontDoor = {
  endpoints: [],
  requestIdHeader: 'request-id',
  encodeError: (error) => ({ error: error.message }),
};
