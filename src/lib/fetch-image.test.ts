import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, test } from 'node:test';
import { FetchImageError, type FetchImageOptions, fetchImage, isPublicAddress } from './fetch-image.ts';

const server = createServer((request, reply) => {
  const path = request.url ?? '';
  if (path === '/ok') reply.end('image');
  else if (path === '/to-private') reply.writeHead(302, { location: 'http://10.0.0.1/x' }).end();
  else if (path === '/to-metadata') reply.writeHead(302, { location: 'http://169.254.169.254/latest' }).end();
  else if (path === '/to-file') reply.writeHead(302, { location: 'file:///etc/passwd' }).end();
  else if (path === '/loop') reply.writeHead(302, { location: '/loop' }).end();
  else if (path === '/relative') reply.writeHead(307, { location: 'ok' }).end();
  else if (path === '/announced') reply.writeHead(200, { 'content-length': 5000 }).end(Buffer.alloc(5000));
  else if (path === '/endless') {
    const timer = setInterval(() => reply.write(Buffer.alloc(600)), 1);
    reply.on('close', () => clearInterval(timer));
  } else if (path === '/silent') reply.writeHead(200).flushHeaders();
  else reply.writeHead(404).end();
});
let base = '';
let host = '';
before(async () => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  base = `http://${host}`;
});
after(() => {
  server.closeAllConnections();
  server.close();
});

const get = (url: string, options: Partial<FetchImageOptions> = {}) =>
  fetchImage(url, { signal: new AbortController().signal, allow: [host], ...options });
const fails = (work: Promise<unknown>, reason: FetchImageError['reason']) =>
  assert.rejects(work, (error) => error instanceof FetchImageError && error.reason === reason);

test('downloads, also over a redirect', async () => {
  assert.equal(String(await get(`${base}/ok`)), 'image');
  assert.equal(String(await get(`${base}/relative`)), 'image');
});

test('refuses private addresses in every spelling', async () => {
  const spellings = ['127.0.0.1', '2130706433', '0x7f000001', '127.1', '[::1]', '[::ffff:127.0.0.1]', '[::ffff:7f00:1]', '10.1.2.3', '192.168.0.1', '172.16.0.1', '169.254.169.254', '[fe80::1]', '[fd00::1]', '0.0.0.0', '100.64.0.1', '[::]', '224.0.0.1', '255.255.255.255', '[64:ff9b::7f00:1]']; // biome-ignore format: a table
  for (const spelling of spellings) await fails(get(`http://${spelling}/x`, { allow: [] }), 'forbidden');
});

test('refuses names that lead to private addresses, also one of several', async () => {
  const resolve = async () => ['93.184.215.14', '127.0.0.1'];
  await fails(get('http://evil.example/x', { allow: [], resolve }), 'forbidden');
});

test('connects to the address that was checked', async () => {
  let asked = 0;
  const resolve = async () => {
    asked++;
    return ['127.0.0.1'];
  };
  const port = host.split(':')[1];
  assert.equal(String(await get(`http://pinned.example:${port}/ok`, { allow: ['pinned.example'], resolve })), 'image');
  assert.equal(asked, 1);
});

test('checks every redirect', async () => {
  await fails(get(`${base}/to-private`), 'forbidden');
  await fails(get(`${base}/to-metadata`), 'forbidden');
  await fails(get(`${base}/to-file`), 'failed');
  await fails(get(`${base}/loop`), 'failed');
});

test('bounds size and time', async () => {
  await fails(get(`${base}/announced`, { limit: 1000 }), 'too-large');
  await fails(get(`${base}/endless`, { limit: 1000 }), 'too-large');
  await fails(get(`${base}/silent`, { timeoutMs: 100 }), 'failed');
  await fails(get(`${base}/missing`), 'failed');
  await fails(get('ftp://example.org/x'), 'failed');
  await fails(get('http://user:secret@example.org/x'), 'forbidden');
});

test('an abort by the caller is passed on', async () => {
  const gone = new Error('gone');
  await assert.rejects(get(`${base}/ok`, { signal: AbortSignal.abort(gone) }), gone);
});

test('tells public addresses', () => {
  assert.ok(isPublicAddress('93.184.215.14'));
  assert.ok(isPublicAddress('2606:2800:21f:cb07:6820:80da:af6b:8b2c'));
  assert.ok(!isPublicAddress('not an address'));
});
