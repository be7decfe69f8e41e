/** A bare WebSocket to the Responses API: one turn after another, every message kept as it came. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { WebSocket } from 'ws';

type Wire = { [field: string]: unknown };

export type ResponsesSocket = Awaited<ReturnType<typeof openSocket>>;

/** The object that the last event of a turn carries: `response` or `error`. */
export function lastOf(events: Wire[], field: 'response' | 'error'): Wire {
  const value = events.at(-1)?.[field];
  assert.ok(typeof value === 'object' && value !== null, `no ${field} in ${JSON.stringify(events.at(-1))}`);
  return value as Wire;
}

const ends = /^(error|response\.(completed|incomplete|failed))$/;

export async function openSocket(url: string, headers: Record<string, string> = {}) {
  const socket = new WebSocket(`${url.replace('http', 'ws')}/v1/responses`, { headers, perMessageDeflate: false });
  const messages: Wire[] = [];
  const waiting: (() => void)[] = [];
  socket.on('message', (data) => {
    messages.push(JSON.parse(String(data)) as Wire);
    for (const wake of waiting.splice(0)) wake();
  });
  const closed = new Promise<void>((resolve) => socket.on('close', () => resolve()));
  socket.on('close', () => {
    for (const wake of waiting.splice(0)) wake();
  });
  await Promise.race([
    once(socket, 'open'),
    once(socket, 'error').then(([error]) => {
      throw error;
    }),
  ]);
  socket.on('error', () => {});

  /** The next message; undefined when the connection has closed. */
  const next = async (): Promise<Wire | undefined> => {
    for (;;) {
      const message = messages.shift();
      if (message || socket.readyState === WebSocket.CLOSED) return message;
      await new Promise<void>((resolve) => waiting.push(resolve));
    }
  };
  return {
    socket,
    closed,
    next,
    send: (message: object | string) => socket.send(typeof message === 'string' ? message : JSON.stringify(message)),
    /** Ask, and read until the answer ends. */
    async turn(body: object): Promise<Wire[]> {
      socket.send(JSON.stringify({ type: 'response.create', ...body }));
      const events: Wire[] = [];
      for (let event = await next(); event; event = await next()) {
        events.push(event);
        if (ends.test(String(event['type']))) break;
      }
      return events;
    },
    async [Symbol.asyncDispose]() {
      socket.close();
      await closed;
    },
  };
}
