/** For whoever runs the server: is it alive, is it ready, and its figures. */
import { encodeError } from '../protocols/openai-error.ts';
import type { Endpoint, FrontDoor } from './define.ts';

/** GET /healthz — the process answers. */
const healthz: Endpoint = {
  method: 'GET',
  path: '/healthz',
  access: 'public',
  async handle({ reply }) {
    reply.send({ status: 'ok' });
  },
};

/** GET /readyz — 200 when what it needs can be reached, 503 naming what cannot. */
const readyz: Endpoint = {
  method: 'GET',
  path: '/readyz',
  access: 'public',
  async handle({ reply, services }) {
    const missing = (await services.missing?.()) ?? [];
    reply
      .status(missing.length > 0 ? 503 : 200)
      .send(missing.length > 0 ? { status: 'unready', missing } : { status: 'ready' });
  },
};

/** GET /metrics — https://prometheus.io/docs/instrumenting/exposition_formats/ */
const metrics: Endpoint = {
  method: 'GET',
  path: '/metrics',
  access: 'admin',
  async handle({ reply, services }) {
    if (!services.metrics) return reply.status(404).send();
    return reply.type(services.metrics.contentType).send(await services.metrics.text());
  },
};

export const operations: FrontDoor = { endpoints: [healthz, readyz, metrics], encodeError };
