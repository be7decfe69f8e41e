/** Ends requests whose body trickles in: each would hold a connection, and its memory, for as long as its sender likes. */
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { FastifyInstance } from 'fastify';

const checkMs = 5000;
/** Bytes that must arrive between two looks: far below any real network, far above what such an attack can afford. */
const leastBytes = 2500;

/** The socket by itself, as Node takes it from a request that is over. */
type Progress = { socket: Socket; bytes: number };

/**
 * A body may take as long as it needs, however large, while it makes progress. (Node's own limit is one for all requests,
 * which would end large uploads; for headers it is the right one.)
 */
export function endSlowBodies(app: FastifyInstance) {
  const arriving = new Map<IncomingMessage, Progress>();

  app.addHook('onRequest', (request, _reply, done) => {
    const { raw } = request;
    if (
      !raw.complete &&
      (raw.headers['transfer-encoding'] !== undefined || raw.headers['content-length'] !== undefined)
    )
      arriving.set(raw, { socket: raw.socket, bytes: raw.socket.bytesRead });
    done();
  });
  app.addHook('preHandler', (request, _reply, done) => {
    if (request.raw.complete) arriving.delete(request.raw);
    done();
  });

  const timer = setInterval(() => {
    for (const [raw, { socket, bytes }] of arriving) {
      const { bytesRead } = socket;
      if (raw.complete || raw.destroyed) arriving.delete(raw);
      // A paused body is one that we are not reading: blobs wait for the disk.
      else if (bytesRead - bytes < leastBytes && !raw.isPaused()) socket.destroy();
      else arriving.set(raw, { socket, bytes: bytesRead });
    }
  }, checkMs);
  timer.unref();
  app.addHook('onClose', async () => clearInterval(timer));
}
