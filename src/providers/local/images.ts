/** A client's images as the engine takes them: base64 of PNG, JPEG or GIF. */
import { Worker } from 'node:worker_threads';
import type { Source } from '../../core/chat.ts';
import { ViaductError } from '../../core/errors.ts';
import { download } from '../download.ts';
import { readImageHeader } from './image-header.ts';

/** Pixels; more is no picture that a model sees, but an attack on memory. */
const maxPixels = 40_000_000;
const maxBytes = 20 * 2 ** 20;
const endOfJpeg = Buffer.from([0xff, 0xd9]);

export type ImageOptions = {
  signal: AbortSignal;
  /** Hosts from which images may come although their address is private. */
  allow?: readonly string[];
  /** Nothing may leave this machine: no picture is fetched. */
  privacy?: 'local' | undefined;
};

/**
 * One image, checked and in a format that the engine decodes. `param` names the field it came from.
 * Throws invalid_image, image_too_large, unsupported_image_format, image_download_failed, privacy_restricted.
 */
export async function loadImage(source: Source, param: string, options: ImageOptions): Promise<string> {
  const bytes = 'url' in source ? await bytesOf(source.url, param, options) : decodeBase64(source.data, param);
  if (bytes.length > maxBytes) throw new ViaductError('image_too_large', 'The image is larger than 20 MB.', { param });
  const header = readImageHeader(bytes);
  if (!header)
    throw new ViaductError('unsupported_image_format', 'The image is not a PNG, JPEG, WebP or GIF.', { param });
  const { width, height, mediaType } = header;
  if (width * height > maxPixels)
    throw new ViaductError(
      'image_too_large',
      `The image has ${width} × ${height} pixels; at most 40 million are read.`,
      { param },
    );
  // The engine would fill the missing part of a JPEG with grey, and the model describe that.
  if (mediaType === 'image/jpeg' && bytes.lastIndexOf(endOfJpeg) === -1)
    throw new ViaductError('invalid_image', 'The JPEG image is broken off: its end is missing.', { param });
  if (width === 0 || height === 0) throw new ViaductError('invalid_image', 'The image has no pixels.', { param });
  return (mediaType === 'image/webp' ? await webpToPng(bytes, param) : bytes).toString('base64');
}

async function bytesOf(url: string, param: string, { signal, allow, privacy }: ImageOptions): Promise<Buffer> {
  const data = /^data:[^,]*,/i.exec(url);
  if (data) {
    if (!/;base64,$/i.test(data[0]))
      throw new ViaductError('invalid_image', 'A data: URL of an image must be base64.', { param });
    return decodeBase64(url.slice(data[0].length), param);
  }
  if (privacy)
    throw new ViaductError(
      'privacy_restricted',
      'Fetching this image would tell its server of the request, which must not leave this machine. Send the image as base64.',
      { param },
    );
  return download(url, param, { signal, ...(allow && { allow }) });
}

/** Node's decoder skips what it cannot read; a picture with holes is no picture. */
function decodeBase64(text: string, param: string): Buffer {
  const plain = text.replace(/\s+/g, '');
  if (plain === '' || plain.length % 4 === 1 || !/^[A-Za-z0-9+/_-]*={0,2}$/.test(plain))
    throw new ViaductError('invalid_image', 'The image is not valid base64.', { param });
  return Buffer.from(plain, 'base64');
}

const workerFile = import.meta.url.endsWith('.ts') ? './webp-worker.ts' : './webp-worker.js';

function webpToPng(bytes: Buffer, param: string): Promise<Buffer> {
  const data = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length);
  const worker = new Worker(new URL(workerFile, import.meta.url), { workerData: data });
  return new Promise<Buffer>((resolve, reject) => {
    const fail = (cause: unknown) =>
      reject(new ViaductError('invalid_image', 'The WebP image cannot be decoded.', { param, cause }));
    worker.once('message', (png: Uint8Array) => resolve(Buffer.from(png)));
    worker.once('error', fail);
    worker.once('exit', () => fail(undefined));
  }).finally(() => worker.terminate());
}
