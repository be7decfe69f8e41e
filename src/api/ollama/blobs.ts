import type { FastifyRequest } from 'fastify';
import { ViaductError } from '../../core/errors.ts';
import { checkedDigest, receiveBlob } from '../../models/upload.ts';
import type { Endpoint } from '../define.ts';

const path = '/api/blobs/:digest';
const digestOf = (request: FastifyRequest) => checkedDigest((request.params as { digest: string }).digest);

/** HEAD /api/blobs/DIGEST: is it here? */
export const hasBlob: Endpoint = {
  method: 'HEAD',
  path,
  access: 'admin',
  async handle({ request, reply, services }) {
    const found = await services.models.findBlob(digestOf(request));
    if (!found) throw new ViaductError('not_found', 'There is no such blob.');
    reply.send();
  },
};

/** POST /api/blobs/DIGEST — https://docs.ollama.com/api/create; the body is the file. */
export const putBlob: Endpoint = {
  method: 'POST',
  path,
  access: 'admin',
  rawBody: true,
  async handle({ request, reply, services }) {
    const digest = digestOf(request);
    if (!(await services.models.findBlob(digest))) {
      const length = request.headers['content-length'];
      await receiveBlob(services.models, digest, request.raw, length === undefined ? undefined : Number(length));
      reply.status(201);
    } else request.raw.resume();
    reply.send();
  },
};
