/** What the endpoints of stored chat completions share. Source: https://platform.openai.com/docs/api-reference/chat/list */
import { z } from 'zod';
import { ViaductError } from '../../../core/errors.ts';
import type { JsonObject } from '../../../core/json.ts';
import type { StoredChat } from '../../../store/stored-chats.ts';
import type { Exchange } from '../../define.ts';

export const metadataField = z
  .record(z.string().max(64), z.string().max(512))
  .refine((metadata) => Object.keys(metadata).length <= 16, { error: 'at most 16 pairs' });

export const pageFields = {
  after: z.string().optional(),
  limit: z.coerce.number().int().min(1).max(100).default(20),
  order: z.enum(['asc', 'desc']).default('asc'),
};

/** The chat that the path names. Another owner's is not found. */
export async function storedChatOf({ request, caller, services }: Exchange): Promise<StoredChat> {
  const { id } = request.params as { id: string };
  return (await services.storedChats.find(caller.owner, id)) ?? notStored(id);
}

export function notStored(id: string): never {
  throw new ViaductError('not_found', `There is no stored completion '${id}'.`, { param: 'completion_id' });
}

export const encodeStored = ({ completion, metadata }: StoredChat): JsonObject => ({ ...completion, metadata });

export function encodeList(data: JsonObject[], hasMore: boolean): JsonObject {
  return {
    object: 'list',
    data,
    first_id: data[0]?.['id'] ?? '',
    last_id: data.at(-1)?.['id'] ?? '',
    has_more: hasMore,
  };
}
