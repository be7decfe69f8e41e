/**
 * Tools that take free text instead of JSON. A model sees them as functions with one text, `input`; the client sees that text alone.
 * Source: https://platform.openai.com/docs/guides/function-calling#custom-tools
 */
import { z } from 'zod';
import type { Tool } from '../../core/chat.ts';
import type { Json, JsonObject } from '../../core/json.ts';

export const customTool = z.object({
  name: z.string().min(1).max(256),
  description: z.string().nullish(),
  format: z
    .object({ type: z.string(), grammar: z.object({ definition: z.string(), syntax: z.string() }).nullish() })
    .nullish(),
});

/** A grammar is told to the model, not enforced. */
export function decodeCustomTool({ name, description, format }: z.infer<typeof customTool>): Tool {
  const { grammar } = format ?? {};
  const rule = grammar && `The input must match this ${grammar.syntax} grammar:\n${grammar.definition}`;
  const text = [description, rule].filter(Boolean).join('\n');
  return {
    name,
    ...(text && { description: text }),
    parameters: {
      type: 'object',
      properties: { input: { type: 'string' } },
      required: ['input'],
      additionalProperties: false,
    },
  };
}

/** Names of the custom tools in a request's body. */
export function customToolNames(tools: Json | undefined): Set<string> {
  if (!Array.isArray(tools)) return new Set();
  return new Set(
    tools.flatMap((tool) => {
      const name = ((tool as JsonObject | null)?.['custom'] as JsonObject | undefined)?.['name'];
      return typeof name === 'string' ? [name] : [];
    }),
  );
}

export const encodeFreeText = (input: string) => JSON.stringify({ input });

/** `{"input": "text"}` → the text; anything else as it stands. */
export function decodeFreeText(json: string): string {
  try {
    const { input } = JSON.parse(json) as { input?: unknown };
    return typeof input === 'string' ? input : json;
  } catch {
    return json;
  }
}
