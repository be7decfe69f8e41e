/** What a request needs of a model, seen in its body whatever the protocol, without decoding it. */

export type Needs = {
  tools: boolean;
  images: boolean;
  jsonSchema: boolean;
  /** A guess: four characters to a token, a picture is a thousand. */
  inputTokens: number;
  /** The client's own limit. */
  maxTokens: number | undefined;
};

const charactersPerToken = 4;
const tokensPerImage = 1000;

/** `body` is a request of any front door's protocol, or a neutral one. */
export function needsOf(body: object): Needs {
  const fields = body as Record<string, unknown>;
  const seen = { characters: 0, images: 0 };
  for (const name of contentFields) measure(fields[name], seen);
  const { tools, tool_choice } = fields;
  return {
    tools: Array.isArray(tools) && tools.length > 0 && tool_choice !== 'none',
    images: seen.images > 0,
    jsonSchema: asksForSchema(fields),
    inputTokens: Math.ceil(seen.characters / charactersPerToken) + seen.images * tokensPerImage,
    maxTokens: limitIn(fields),
  };
}

const contentFields = [
  'messages',
  'input',
  'prompt',
  'system',
  'instructions',
  'tools',
  'suffix',
  'query',
  'documents',
];
const limitFields = ['max_completion_tokens', 'max_tokens', 'max_output_tokens', 'maxTokens'];
const schemaTypes = new Set(['json_schema', 'json-schema']);
const imageTypes = new Set(['image', 'image_url', 'input_image']);

function measure(value: unknown, seen: { characters: number; images: number }): void {
  if (typeof value === 'string') seen.characters += value.length;
  else if (Array.isArray(value)) for (const item of value) measure(item, seen);
  else if (value !== null && typeof value === 'object') {
    const fields = value as Record<string, unknown>;
    if (imageTypes.has(fields['type'] as string)) {
      seen.images++;
      return;
    }
    for (const name in fields)
      if (name === 'images' && Array.isArray(fields[name])) seen.images += fields[name].length;
      else measure(fields[name], seen);
  }
}

/** Chat and neutral, Responses, Messages: each has it elsewhere. */
const asksForSchema = ({ response_format, responseFormat, text, output_config }: Record<string, unknown>): boolean =>
  isSchema(response_format) ||
  isSchema(responseFormat) ||
  isSchema((text as { format?: unknown } | null | undefined)?.format) ||
  isSchema((output_config as { format?: unknown } | null | undefined)?.format);

const isSchema = (format: unknown): boolean =>
  schemaTypes.has((format as { type?: unknown } | null | undefined)?.type as string);

function limitIn(fields: Record<string, unknown>): number | undefined {
  for (const name of limitFields) {
    const limit = fields[name];
    if (typeof limit === 'number' && limit > 0) return limit;
  }
  return undefined;
}
