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
    jsonSchema: formatFields.some((path) => schemaTypes.has(textAt(fields, path))),
    inputTokens: Math.ceil(seen.characters / charactersPerToken) + seen.images * tokensPerImage,
    maxTokens: limitFields.map((name) => fields[name]).find((limit) => typeof limit === 'number' && limit > 0) as
      | number
      | undefined,
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
const formatFields = [
  ['response_format', 'type'],
  ['text', 'format', 'type'],
  ['output_config', 'format', 'type'],
  ['responseFormat', 'type'],
];
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

function textAt(fields: Record<string, unknown>, path: string[]): string {
  let value: unknown = fields;
  for (const name of path) {
    if (value === null || typeof value !== 'object') return '';
    value = (value as Record<string, unknown>)[name];
  }
  return typeof value === 'string' ? value : '';
}
