/** Ends requests whose body trickles in: each would hold a connection, and its memory, for as long as its sender likes. */
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { FastifyInstance } from 'fastify';

const checkMs = 5000;
/** Bytes that must arrive between two looks: far below any real network, far above what such an attack can afford. */
const leastBytes = 2500;

/** What a connection was asked last: a body that has arrived is forgotten at the next look, not by every request. */
type Progress = { raw: IncomingMessage; bytes: number };

/**
 * A body may take as long as it needs, however large, while it makes progress. (Node's own limit is one for all requests,
 * which would end large uploads; for headers it is the right one.)
 */
export function endSlowBodies(app: FastifyInstance) {
  const arriving = new Map<Socket, Progress>();

  app.addHook('onRequest', ({ raw }, _reply, done) => {
    const { socket, headers, complete } = raw;
    if (!complete && (headers['transfer-encoding'] !== undefined || headers['content-length'] !== undefined)) {
      const progress = arriving.get(socket);
      if (progress) {
        progress.raw = raw;
        progress.bytes = socket.bytesRead;
      } else arriving.set(socket, { raw, bytes: socket.bytesRead });
    }
    done();
  });

  const timer = setInterval(() => {
    for (const [socket, progress] of arriving) {
      const { raw, bytes } = progress;
      const { bytesRead } = socket;
      if (raw.complete || raw.destroyed) arriving.delete(socket);
      // A paused body is one that we are not reading: blobs wait for the disk.
      else if (bytesRead - bytes < leastBytes && !raw.isPaused()) socket.destroy();
      else progress.bytes = bytesRead;
    }
  }, checkMs);
  timer.unref();
  app.addHook('onClose', async () => clearInterval(timer));
}
