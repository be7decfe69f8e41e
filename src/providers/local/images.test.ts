import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { readImageHeader } from './image-header.ts';
import { loadImage } from './images.ts';

const fixture = (name: string) => readFileSync(join(import.meta.dirname, '__fixtures__/images', name));
const load = (data: string, mediaType = 'image/png') =>
  loadImage({ data, mediaType }, 'messages[0].content[0]', { signal: new AbortController().signal });
const fails = (work: Promise<unknown>, code: string) =>
  assert.rejects(
    work,
    (error: Error & { code?: string; param?: string }) =>
      error.code === code && error.param === 'messages[0].content[0]',
  );

for (const [
  name,
  mediaType,
] of [['red-circle.png', 'image/png'], ['red-circle.jpg', 'image/jpeg'], ['red-circle.gif', 'image/gif'], ['red-circle.webp', 'image/webp'], ['red-circle-lossy.webp', 'image/webp']] as const) // biome-ignore format: a table
  test(`${name} is known by its bytes`, async () => {
    const bytes = fixture(name);
    assert.deepEqual(readImageHeader(bytes), { mediaType, width: 64, height: 64 });
    const loaded = Buffer.from(await load(bytes.toString('base64')), 'base64');
    const header = readImageHeader(loaded);
    assert.deepEqual([header?.width, header?.height], [64, 64]);
    assert.equal(header?.mediaType, mediaType === 'image/webp' ? 'image/png' : mediaType);
  });

test('a data: URL is read like data', async () => {
  const base64 = fixture('red-circle.png').toString('base64');
  const source = { url: `data:image/png;base64,${base64}` };
  assert.equal(await loadImage(source, 'x', { signal: new AbortController().signal }), base64);
});

test('what is no image is refused, and says which', async () => {
  await fails(load('not base64!'), 'invalid_image');
  await fails(load(''), 'invalid_image');
  await fails(load(Buffer.from('<svg/>').toString('base64')), 'unsupported_image_format');
  await fails(load(fixture('red-circle.png').subarray(0, 12).toString('base64')), 'unsupported_image_format');
  const cut = fixture('red-circle.webp').subarray(0, 40);
  await fails(load(cut.toString('base64')), 'invalid_image');
  await fails(load(fixture('red-circle.jpg').subarray(0, -2).toString('base64')), 'invalid_image');
});

test('forty megapixels are refused from the header alone', async () => {
  const huge = Buffer.from(fixture('red-circle.png'));
  huge.writeUInt32BE(8000, 16);
  huge.writeUInt32BE(5001, 20);
  await fails(load(huge.toString('base64')), 'image_too_large');
});
