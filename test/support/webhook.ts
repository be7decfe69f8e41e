/** Somebody who is told: a server that keeps the JSON of every request. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { json } from 'node:stream/consumers';

export type Webhook<Event> = { url: string; events: Event[] };

export async function startWebhook<Event>(t: { after(work: () => void): void }): Promise<Webhook<Event>> {
  const events: Event[] = [];
  const server = createServer(async (request, response) => {
    events.push((await json(request)) as Event);
    response.end();
  }).listen(0, '127.0.0.1');
  t.after(() => server.close());
  await once(server, 'listening');
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`, events };
}
