/** Fields that the management endpoints share. */
import { z } from 'zod';
import { ViaductError } from '../../core/errors.ts';
import type { Exchange } from '../define.ts';
import { jsonBody } from '../http.ts';

/** The body, checked. Throws invalid_request naming the field. */
export function bodyOf<Schema extends z.ZodType>({ request }: Exchange, schema: Schema): z.infer<Schema> {
  const result = schema.safeParse(jsonBody(request));
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  const param = issue?.path.join('.') ?? '';
  throw new ViaductError('invalid_request', `${param || 'The body'}: ${issue?.message ?? 'is not valid'}.`, { param });
}

/** `model`, or `name` as older clients say. */
export const modelField = { model: z.string().nullish(), name: z.string().nullish() };

/** Throws invalid_request when neither is there. */
export function modelOf({
  model,
  name,
}: {
  model?: string | null | undefined;
  name?: string | null | undefined;
}): string {
  const text = model || name;
  if (text) return text;
  throw new ViaductError('invalid_request', 'model: the name of a model is required.', { param: 'model' });
}
