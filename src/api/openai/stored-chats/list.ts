import { z } from 'zod';
import { checkBody } from '../../../protocols/openai-body.ts';
import type { Endpoint } from '../../define.ts';
import { encodeList, encodeStored, pageFields } from './shared.ts';

const wireQuery = z.object({
  ...pageFields,
  model: z.string().optional(),
  metadata: z.record(z.string(), z.string()).optional().describe('metadata[KEY]=VALUE: only those that have it'),
});

/** GET /v1/chat/completions — https://platform.openai.com/docs/api-reference/chat/list */
export const listStoredChats: Endpoint = {
  method: 'GET',
  path: '/v1/chat/completions',
  query: wireQuery,
  async handle({ request, reply, caller, services }) {
    const query = request.query as Record<string, string>;
    const { metadata = {}, ...page } = checkBody(wireQuery, { ...query, metadata: metadataOf(query) });
    const { chats, hasMore } = await services.storedChats.list(caller.owner, { ...page, metadata });
    return reply.send(encodeList(chats.map(encodeStored), hasMore));
  },
};

/** `metadata[key]=value`, as OpenAI's clients write it. */
function metadataOf(query: Record<string, string>): Record<string, string> {
  const pairs = Object.entries(query).flatMap(([name, value]) => {
    const key = /^metadata\[(.+)\]$/.exec(name)?.[1];
    return key === undefined ? [] : [[key, value] as const];
  });
  return Object.fromEntries(pairs);
}
