/** Answers that come in pieces. */
import type { ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import type { FastifyReply } from 'fastify';

/** Content type of server-sent events. */
export const eventStream = 'text/event-stream; charset=utf-8';
/** A comment, which no client shows: it keeps proxies from closing a stream on which nothing happens, sent this often (ms). */
export const keepAlive = ': keep-alive\n\n';
export const keepAliveMs = 10_000;

/** Where a streamed answer goes: one write per batch, waiting when the client reads slowly. */
export type StreamWriter = {
  write(piece: string | Buffer): Promise<void> | undefined;
  end(text?: string): void;
};

/** Take the reply over from Fastify and answer 200 with a stream of `contentType`. */
export function openStream(
  reply: FastifyReply,
  contentType: string,
  headers: Record<string, string> = {},
): StreamWriter {
  reply.hijack();
  const { raw } = reply;
  raw.writeHead(200, {
    ...(reply.getHeaders() as Record<string, string>),
    ...headers,
    'content-type': contentType,
    'cache-control': 'no-cache',
    'x-accel-buffering': 'no',
  });
  let begun = false;
  return {
    write(piece) {
      if (raw.destroyed || piece.length === 0) return undefined;
      const { socket } = raw;
      const inOne = begun && raw.chunkedEncoding && socket instanceof Socket && piece.length < inOneWrite;
      begun = true;
      if (inOne) return writeChunk(socket, piece) ? undefined : drained(socket);
      return raw.write(piece) ? undefined : drained(raw);
    },
    end(text) {
      raw.end(text);
    },
  };
}

/** Characters or bytes beyond which putting a chunk together costs more than writing its pieces. */
const inOneWrite = 4 * 1024;

/**
 * A chunk of HTTP/1.1 as one piece. Node's own `write` makes four of it, which costs twice as much: with an answer of a hundred chunks that is
 * more than all the rest of the gateway. Source: https://www.rfc-editor.org/rfc/rfc9112#section-7.1
 */
function writeChunk(socket: Socket, piece: string | Buffer): boolean {
  const size = Buffer.byteLength(piece).toString(16);
  return typeof piece === 'string'
    ? socket.write(`${size}\r\n${piece}\r\n`)
    : socket.write(`${size}\r\n${piece.toString('latin1')}\r\n`, 'latin1');
}

/** Settles when the client has read what was written, or has left. */
export const drained = (to: ServerResponse | Socket): Promise<void> =>
  new Promise((resolve) => {
    const done = () => {
      to.off('drain', done);
      to.off('close', done);
      resolve();
    };
    to.on('drain', done);
    to.on('close', done);
  });
