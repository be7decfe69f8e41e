import { randomUUID } from 'node:crypto';
import type { NewId } from '../protocols/openai-responses.ts';

/** A new random id of this kind: `resp_3f2a…`. */
export const newId: NewId = (prefix) => `${prefix}_${randomUUID().replaceAll('-', '')}`;
