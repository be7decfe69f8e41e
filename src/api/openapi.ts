/** GET /openapi.json: every endpoint of every door, with the schemas that check its requests. */
import { z } from 'zod';
import type { JsonObject } from '../core/json.ts';
import { encodeError } from '../protocols/openai-error.ts';
import type { Endpoint, FrontDoor } from './define.ts';

/** The door of the description itself; made at the first request, as a server that nobody asks needs none. */
export function openApiDoor(doors: FrontDoor[]): FrontDoor {
  let description: JsonObject | undefined;
  const endpoint: Endpoint = {
    method: 'GET',
    path: '/openapi.json',
    access: 'public',
    async handle({ reply }) {
      description ??= describe(doors.flatMap((door) => door.endpoints));
      return reply.send(description);
    },
  };
  return { endpoints: [endpoint], encodeError };
}

/** https://spec.openapis.org/oas/v3.1.0 */
function describe(endpoints: Endpoint[]): JsonObject {
  const paths: { [path: string]: JsonObject } = {};
  for (const endpoint of endpoints) {
    const { path, parameters } = pathOf(endpoint.path);
    const methods = paths[path] ?? {};
    paths[path] = methods;
    methods[endpoint.method.toLowerCase()] = operationOf(endpoint, parameters);
  }
  return {
    openapi: '3.1.0',
    info: { title: 'Viaduct', version: '1' },
    security: [{ key: [] }],
    paths,
    components: { securitySchemes: { key: { type: 'http', scheme: 'bearer' } } },
  };
}

function operationOf({ access, body, query, rawBody }: Endpoint, segments: string[]): JsonObject {
  const parameters = [
    ...segments.map((name) => ({ name, in: 'path', required: true, schema: { type: 'string' } })),
    ...(query ? queryOf(query) : []),
  ];
  return {
    ...(access === 'public' && { security: [] }),
    ...(parameters.length > 0 && { parameters }),
    ...(body && { requestBody: { required: true, content: { 'application/json': { schema: schemaOf(body) } } } }),
    ...(rawBody && { requestBody: { required: true, content: { 'application/octet-stream': {} } } }),
    responses: { default: { description: 'The answer, or an error in the words of its protocol.' } },
  };
}

/** Each field of a query string is a parameter. */
function queryOf(query: z.ZodObject): JsonObject[] {
  const { properties = {}, required = [] } = schemaOf(query) as { properties?: JsonObject; required?: string[] };
  return Object.entries(properties).map(([name, schema]) => ({
    name,
    in: 'query',
    required: required.includes(name),
    ...((schema as JsonObject)['type'] === 'object' && { style: 'deepObject' }),
    schema: schema as JsonObject,
  }));
}

/** Fastify's pattern → OpenAPI's: `/v1/models/*` is `/v1/models/{rest}`. */
function pathOf(pattern: string): { path: string; parameters: string[] } {
  const parameters: string[] = [];
  const segments = pattern.split('/').map((segment) => {
    if (segment !== '*' && !segment.startsWith(':')) return segment;
    const name = segment === '*' ? 'rest' : segment.slice(1);
    parameters.push(name);
    return `{${name}}`;
  });
  return { path: segments.join('/'), parameters };
}

function schemaOf(body: z.ZodType): JsonObject {
  const { $schema: _dialect, ...schema } = z.toJSONSchema(body, { io: 'input', unrepresentable: 'any' });
  return schema as JsonObject;
}
