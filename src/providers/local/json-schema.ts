/** JSON Schemas compiled to functions, by ajv. */
import { createRequire } from 'node:module';
import type { ValidateFunction } from 'ajv/dist/2020.js';
import type { JsonObject } from '../../core/json.ts';

const require = createRequire(import.meta.url);

/** By the schema's text: agents send the same tools with every request. */
const compiled = new Map<string, ValidateFunction | undefined>();
const maxCompiled = 500;

/** A function that says whether a value is what the schema asks for; undefined when ajv cannot compile it. */
export function validatorOf(schema: JsonObject): ValidateFunction | undefined {
  const text = JSON.stringify(schema);
  if (compiled.has(text)) return compiled.get(text);
  if (compiled.size >= maxCompiled) compiled.clear();
  const validate = compile(schema);
  compiled.set(text, validate);
  return validate;
}

function compile(schema: JsonObject): ValidateFunction | undefined {
  // A hundred files that a start does not need, and the first call with tools does.
  const { Ajv2020 } = require('ajv/dist/2020.js') as typeof import('ajv/dist/2020.js');
  const addFormats = require('ajv-formats') as typeof import('ajv-formats');
  const ajv = new Ajv2020({
    strict: false,
    allErrors: true,
    logger: false,
    validateSchema: false,
  });
  addFormats.default(ajv);
  try {
    const { $schema: _dialect, $id: _id, ...plain } = schema;
    return ajv.compile(plain);
  } catch {
    return undefined;
  }
}
