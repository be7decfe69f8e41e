/** The Anthropic-compatible front door. Adding an endpoint = its file and its line here. */
import { encodeError, statusOf } from '../../protocols/anthropic-messages.ts';
import type { FrontDoor } from '../define.ts';
import { countTokens } from './count-tokens.ts';
import { messages } from './messages.ts';

export const anthropic: FrontDoor = {
  endpoints: [messages, countTokens],
  encodeError,
  statusOf,
  requestIdHeader: 'request-id',
};
