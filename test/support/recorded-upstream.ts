/** A hosted provider played from recordings: each request gets the recorded answer of its path, streamed or whole as it asks. */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';

type Recording = {
  request: { method: string; url: string };
  response: { status: number; headers: Record<string, string>; body: string };
};

export type Seen = { method: string; path: string; headers: IncomingHttpHeaders; body: Record<string, unknown> };

export type RecordedUpstream = {
  /** `http://127.0.0.1:PORT` */
  origin: string;
  /** Requests, oldest first. */
  seen: Seen[];
  /** How many connections were ever opened. */
  connections(): number;
  /** Milliseconds before each event of a stream, from now on. */
  pace: number;
  /** Answer this instead, until it is undefined again. */
  failure: { status: number; body: string } | undefined;
  close(): Promise<void>;
};

/** `files`: paths of recordings. */
export async function startRecordedUpstream(files: string[]): Promise<RecordedUpstream> {
  const recordings = files.map((file) => JSON.parse(readFileSync(file, 'utf8')) as Recording);
  let connections = 0;
  const server = createServer(async (request, response) => {
    const { method = '', url = '', headers } = request;
    const sent = await text(request);
    const body = sent.startsWith('{') ? (JSON.parse(sent) as Record<string, unknown>) : {};
    upstream.seen.push({ method, path: url, headers, body });
    const { failure } = upstream;
    if (failure) {
      response.writeHead(failure.status, { 'content-type': 'application/json' }).end(failure.body);
      return;
    }
    const streamed = body['stream'] === true;
    const found = recordings.find(
      ({ request: recorded, response: { body: answer } }) =>
        new URL(recorded.url).pathname === url.split('?')[0] && streamed === /^(data|event):/.test(answer),
    );
    if (!found) {
      response.writeHead(404, { 'content-type': 'application/json' }).end('{"error":{"message":"not recorded"}}');
      return;
    }
    response.writeHead(found.response.status, { 'content-type': streamed ? 'text/event-stream' : 'application/json' });
    if (streamed)
      for (const event of found.response.body.split(/(?<=\n\n)/)) {
        if (upstream.pace > 0) await sleep(upstream.pace);
        response.write(event);
      }
    response.end(streamed ? undefined : found.response.body);
  });
  server.on('connection', () => connections++);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const upstream: RecordedUpstream = {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    seen: [],
    connections: () => connections,
    pace: 0,
    failure: undefined,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
  return upstream;
}
