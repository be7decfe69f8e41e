/** The header of a GGUF file, read from its bytes. Source: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md */
import { ViaductError } from '../../core/errors.ts';
import type { Json } from '../../core/json.ts';
import { type MiddleMarks, marksAmong, marksOf } from './middle-marks.ts';
import { tensorTypes } from './types.ts';

export type TensorInfo = { name: string; type: string; shape: number[] };

/** As the header has it: with where its data begins, counted from `dataStart`. */
export type Tensor = TensorInfo & { typeId: number; offset: number; elements: number };
export type Header = {
  metadata: Record<string, Json>;
  tensors: Tensor[];
  marks: MiddleMarks | undefined;
  dataStart: number;
};

const longestShortArray = 64;

/** The bytes end before the header does. */
const short = Symbol('short');

/**
 * Bytes from the start of a file → header; undefined when more bytes are needed. Long arrays only with `arrays`, else null.
 * Throws model_load_failed, naming `path`, when it is no GGUF header.
 */
export function parseHeader(bytes: Buffer, path: string, arrays: boolean): Header | undefined {
  try {
    return readHeader(createReader(bytes), path, arrays);
  } catch (thrown) {
    if (thrown === short) return undefined;
    throw thrown;
  }
}

type Reader = ReturnType<typeof createReader>;

function createReader(bytes: Buffer) {
  let at = 0;
  /** Go beyond so many bytes → where they begin. Throws `short`. */
  const take = (length: number) => {
    const start = at;
    if (start + length > bytes.length) throw short;
    at += length;
    return start;
  };
  const u32 = () => bytes.readUInt32LE(take(4));
  const u64 = () => readU64(bytes, take(8));
  const string = () => {
    const length = u64();
    const start = take(length);
    return bytes.toString('utf8', start, start + length);
  };
  return { bytes, take, u32, u64, string, position: () => at };
}

function readHeader(read: Reader, path: string, arrays: boolean): Header {
  const { bytes } = read;
  const magic = bytes.toString('latin1', read.take(4), 4);
  if (magic !== 'GGUF') throw broken(path, 'it does not begin with "GGUF"');
  const version = read.u32();
  if (version !== 2 && version !== 3)
    throw broken(path, version > 0xffff ? 'it is big-endian' : `version ${version} of the format is not supported`);
  const tensorCount = read.u64();
  const pairCount = read.u64();
  if (tensorCount > 1e6 || pairCount > 1e6) throw broken(path, 'its header is damaged');

  const metadata: Record<string, Json> = {};
  let marks: MiddleMarks | undefined;
  for (let pair = 0; pair < pairCount; pair += 1) {
    const key = read.string();
    const type = read.u32();
    const start = read.position();
    metadata[key] = readValue(read, type, path, arrays);
    if (key === 'tokenizer.ggml.tokens') marks = marksAmong(bytes.subarray(start, read.position()));
  }

  const tensors: Tensor[] = [];
  for (let index = 0; index < tensorCount; index += 1) {
    const name = read.string();
    const dimensions = read.u32();
    if (dimensions > 8) throw broken(path, `tensor "${name}" is damaged`);
    const shape = Array.from({ length: dimensions }, read.u64);
    const typeId = read.u32();
    const elements = shape.reduce((product, length) => product * length, 1);
    const type = tensorTypes[typeId]?.name ?? `type ${typeId}`;
    tensors.push({ name, type, shape, typeId, offset: read.u64(), elements });
  }
  const alignment = Number(metadata['general.alignment'] ?? 32) || 32;
  return {
    metadata,
    tensors,
    marks: marksOf(metadata) ?? marks,
    dataStart: Math.ceil(read.position() / alignment) * alignment,
  };
}

/** By type: bytes of a value, and how it stands in them. 8 is a text, 9 an array. */
const scalars: Record<number, { size: number; read(bytes: Buffer, at: number): Json }> = {
  0: { size: 1, read: (bytes, at) => bytes.readUInt8(at) },
  1: { size: 1, read: (bytes, at) => bytes.readInt8(at) },
  2: { size: 2, read: (bytes, at) => bytes.readUInt16LE(at) },
  3: { size: 2, read: (bytes, at) => bytes.readInt16LE(at) },
  4: { size: 4, read: (bytes, at) => bytes.readUInt32LE(at) },
  5: { size: 4, read: (bytes, at) => bytes.readInt32LE(at) },
  6: { size: 4, read: (bytes, at) => bytes.readFloatLE(at) },
  7: { size: 1, read: (bytes, at) => bytes.readUInt8(at) !== 0 },
  10: { size: 8, read: readU64 },
  11: { size: 8, read: (bytes, at) => Number(bytes.readBigInt64LE(at)) },
  12: { size: 8, read: (bytes, at) => bytes.readDoubleLE(at) },
};

function readU64(bytes: Buffer, at: number): number {
  return bytes.readUInt32LE(at) + bytes.readUInt32LE(at + 4) * 2 ** 32;
}

function readValue(read: Reader, type: number, path: string, arrays: boolean): Json {
  if (type === 8) return read.string();
  if (type === 9) return readArray(read, path, arrays);
  const scalar = scalars[type];
  if (!scalar) throw broken(path, `its header has a value of unknown type ${type}`);
  return scalar.read(read.bytes, read.take(scalar.size));
}

function readArray(read: Reader, path: string, arrays: boolean): Json {
  const type = read.u32();
  const length = read.u64();
  if (arrays || length <= longestShortArray) {
    const values: Json[] = [];
    for (let index = 0; index < length; index += 1) values.push(readValue(read, type, path, arrays));
    return values;
  }
  const scalar = scalars[type];
  if (scalar) read.take(scalar.size * length);
  else if (type === 8) for (let index = 0; index < length; index += 1) read.take(read.u64());
  else for (let index = 0; index < length; index += 1) readValue(read, type, path, false);
  return null;
}

/** What to throw for a file that cannot be used. */
export const broken = (path: string, why: string, cause?: unknown) =>
  new ViaductError('model_load_failed', `${path} is not a usable GGUF file: ${why}.`, { cause });
