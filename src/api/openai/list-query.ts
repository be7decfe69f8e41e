/** Query strings of lists and items: OpenAI's `limit`, `order`, `after`, `include`. */
import type { FastifyRequest } from 'fastify';
import { z } from 'zod';
import { ViaductError } from '../../core/errors.ts';
import { checkBody } from '../../protocols/openai-body.ts';
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

/** Query of what shows one thing. */
export const includeQuery = z.object({
  include: z
    .union([z.string(), z.array(z.string())])
    .optional()
    .describe('What to show beyond the usual'),
});

/** Query of what lists items. */
export const pageQuery = z.object({
  limit: z.coerce.number().int().min(1).max(100).default(20),
  order: z.enum(['asc', 'desc']).default('desc'),
  after: z
    .string()
    .refine((id) => !id.includes('\0'), 'is not the id of an item')
    .optional()
    .describe('The id of the last item of the page before'),
  ...includeQuery.shape,
});

/** Throws invalid_request naming the parameter. */
export function pageOptions(query: Query): PageOptions {
  const { limit, order, after } = checkBody(pageQuery, query);
  return { limit, order, after: after || undefined };
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
