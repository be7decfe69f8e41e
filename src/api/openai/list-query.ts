/** Query strings of lists and items: OpenAI's `limit`, `order`, `after`, `include`. */
import type { FastifyRequest } from 'fastify';
import { ViaductError } from '../../core/errors.ts';
import { type Item, withoutSeal } from '../../protocols/openai-responses.ts';
import type { Page, PageOptions } from '../../store/page.ts';

/** An id in the path. One that no store can hold is not found. */
export function idOf(request: FastifyRequest, name: string): string {
  const id = (request.params as Record<string, string>)[name] ?? '';
  if (id.includes('\0')) throw new ViaductError('not_found', 'There is nothing with this id.');
  return id;
}

export type Query = Record<string, string | undefined>;

/** Single values; of one that is given twice the last counts. */
export function queryOf(request: FastifyRequest): Query {
  const query = request.query as Record<string, string | string[]>;
  return Object.fromEntries(
    Object.entries(query).map(([name, value]) => [name, Array.isArray(value) ? value.join(',') : value]),
  );
}

/** Clients write lists as `include=a&include=b`, `include[]=a` or `include[0]=a`. */
export const includeOf = (query: Query): string[] =>
  Object.entries(query).flatMap(([name, value]) => (/^include(\[\d*\])?$/.test(name) && value ? value.split(',') : []));

export const showsSeals = (include: readonly string[]) => include.includes('reasoning.encrypted_content');

/** Throws invalid_request naming the parameter. */
export function pageOptions(query: Query, fallback: { limit: number; order: 'asc' | 'desc' }): PageOptions {
  const { limit = String(fallback.limit), order = fallback.order, after } = query;
  const count = Number(limit);
  if (!Number.isInteger(count) || count < 1 || count > 100)
    throw new ViaductError('invalid_request', "'limit' must be a whole number from 1 to 100.", { param: 'limit' });
  if (order !== 'asc' && order !== 'desc')
    throw new ViaductError('invalid_request', "'order' must be asc or desc.", { param: 'order' });
  if (after?.includes('\0'))
    throw new ViaductError('invalid_request', "'after' is not the id of an item.", { param: 'after' });
  return { limit: count, order, after: after || undefined };
}

/** Items as OpenAI's list object. */
export function listOf({ items, hasMore }: Page, include: readonly string[] = []) {
  const all = items as unknown as Item[];
  return {
    object: 'list',
    data: showsSeals(include) ? all : all.map(withoutSeal),
    first_id: items.at(0)?.id ?? '',
    last_id: items.at(-1)?.id ?? '',
    has_more: hasMore,
  };
}
