import { z } from 'zod';
import { ViaductError } from '../../core/errors.ts';
import { checkBody } from '../../protocols/openai-body.ts';
import type { Endpoint } from '../define.ts';
import { jsonBody, servedHeaders } from '../http.ts';

const wireRequest = z.looseObject({ model: z.string().min(1).default('gpt-image-1'), prompt: z.string().min(1) });

/**
 * POST /v1/images/generations — https://platform.openai.com/docs/api-reference/images/create. Experimental: the body goes to the
 * provider of the model as it is.
 */
export const imagesGenerations: Endpoint = {
  method: 'POST',
  path: '/v1/images/generations',
  body: wireRequest,
  async handle({ request, reply, caller }) {
    const body = jsonBody(request);
    const { model } = checkBody(wireRequest, body);
    const answer = await caller.image({ model, body: { ...body, model } }).catch((thrown) => {
      throw unconfigured(thrown, model);
    });
    return reply.headers(servedHeaders(answer)).send(answer.result);
  },
};

function unconfigured(thrown: unknown, model: string): unknown {
  if (
    !(thrown instanceof ViaductError && /^(model_not_found|unsupported_capability|not_implemented)$/.test(thrown.code))
  )
    return thrown;
  return new ViaductError(
    'not_implemented',
    `No image provider serves '${model}'. Configure one under 'providers' in viaduct.yaml: openai, or kind openai-compatible with the base_url of an image engine, and ask for 'provider/model'.`,
    { param: 'model', cause: thrown },
  );
}
