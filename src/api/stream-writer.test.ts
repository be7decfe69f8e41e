import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect } from 'node:net';
import { buffer, text } from 'node:stream/consumers';
import { after, before, test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import Fastify from 'fastify';
import { request } from 'undici';
import { eventStream, openStream } from './stream-writer.ts';

const pieces = [
  'data: a\n\n',
  '',
  'data: déjà vu 🦙\n\n',
  Buffer.from([0xff, 0x00, 0x0d, 0x0a, 0x80]),
  'b'.repeat(200_000),
];
const whole = Buffer.concat(pieces.map((piece) => Buffer.from(piece)));

const app = Fastify();
/** Writes of which the client had to be waited for. */
let waits = 0;
let running = 0;
app.get('/pieces', async (_request, reply) => {
  const writer = openStream(reply, eventStream, { 'x-more': '1' });
  for (const piece of pieces) {
    await writer.write(piece);
    await nextTurn();
  }
  writer.end('end');
});
app.get('/much', async (_request, reply) => {
  const writer = openStream(reply, eventStream);
  running++;
  for (let n = 0; n < 2000; n++) {
    const wait = writer.write('x'.repeat(10_000));
    if (wait) waits++;
    await wait;
  }
  writer.end();
  running--;
});
let port = 0;
before(async () => {
  await app.listen({ host: '127.0.0.1', port: 0 });
  port = (app.server.address() as AddressInfo).port;
});
after(() => app.close());

/** What the server says to `sent`, until it closes the connection. */
function talk(sent: string): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  socket.write(sent);
  return text(socket);
}

test('pieces of any kind arrive as they were', async () => {
  const reply = await request(`http://127.0.0.1:${port}/pieces`);
  assert.equal(reply.headers['content-type'], eventStream);
  assert.equal(reply.headers['x-more'], '1');
  assert.deepEqual(await buffer(reply.body), Buffer.concat([whole, Buffer.from('end')]));
});

test('each piece is a chunk of its own', async () => {
  const said = await talk('GET /pieces HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n');
  assert.match(said, /\r\n\r\n9\r\ndata: a\n\n\r\n16\r\ndata: déjà vu 🦙\n\n\r\n5\r\n[\s\S]{4,9}\r\n30d40\r\nb/);
  assert.ok(said.endsWith('\r\n3\r\nend\r\n0\r\n\r\n'));
});

test('a client of HTTP/1.0 gets the bytes without chunks', async () => {
  const said = await talk('GET /pieces HTTP/1.0\r\n\r\n');
  assert.equal(said.slice(said.indexOf('\r\n\r\n') + 4), `${whole.toString()}end`);
});

test('requests that are sent before their turn are answered in turn', async () => {
  const ask = 'GET /pieces HTTP/1.1\r\nhost: x\r\n\r\n';
  const said = await talk(ask + ask + ask.replace('\r\n\r\n', '\r\nconnection: close\r\n\r\n'));
  const bodies = said.split(/HTTP\/1\.1 200 OK\r\n/).slice(1);
  assert.equal(bodies.length, 3);
  for (const body of bodies) assert.ok(body.endsWith('\r\n3\r\nend\r\n0\r\n\r\n'));
});

test('a client that reads slowly is waited for; one that leaves ends the waiting', async () => {
  const slow = connect(port, '127.0.0.1');
  slow.write('GET /much HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n');
  await once(slow, 'readable');
  while (waits === 0) await nextTurn();
  let size = 0;
  for await (const chunk of slow) size += (chunk as Buffer).length;
  assert.ok(size > 20_000_000);

  waits = 0;
  const leaving = connect(port, '127.0.0.1');
  leaving.write('GET /much HTTP/1.1\r\nhost: x\r\n\r\n');
  await once(leaving, 'readable');
  while (waits === 0) await nextTurn();
  leaving.destroy();
  while (running > 0) await nextTurn();
});
