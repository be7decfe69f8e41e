/**
 * GGUF files: what their header says, read from disk without the tensors.
 * Sources: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, and ggml.h for the tensor types.
 */
import { type FileHandle, open } from 'node:fs/promises';
import { ViaductError } from '../core/errors.ts';
import type { Json } from '../core/json.ts';
import { fileTypes, tensorTypes } from './gguf-types.ts';

/** What the header of a GGUF file says. */
export type GgufInfo = {
  /** `llama`, `qwen2`, `bert`, `clip` (a projector), … */
  architecture: string;
  /** `general.type`: `model`, `adapter`, `projector`, … */
  type?: string;
  /** `general.name`. */
  name?: string;
  /** Context length the model was trained with, tokens. Absent for projectors. */
  contextLength?: number;
  embeddingLength?: number;
  blockCount?: number;
  headCount?: number;
  headCountKv?: number;
  /** Width of one key and one value head. */
  keyLength?: number;
  valueLength?: number;
  vocabularySize?: number;
  parameterCount: number;
  /** `Q4_K_M`. */
  quantization: string;
  /** Jinja. */
  chatTemplate?: string;
  /** The vocabulary's tokens for filling in the middle, when it has them. */
  middleMarks?: MiddleMarks;
  /** Bytes. */
  fileSize: number;
  /** All key-value pairs. An array longer than 64 entries is null unless `arrays` was asked for. */
  metadata: Record<string, Json>;
  tensors: TensorInfo[];
};

/** What stands before the text that precedes a gap, before the text that follows it, and before what fills it: ids, or texts of tokens. */
export type MiddleMarks = { prefix: number | string; suffix: number | string; middle: number | string };

export type TensorInfo = { name: string; type: string; shape: number[] };

const longestShortArray = 64;
/** A header beyond this is no header: 256 MB. */
const largestHeader = 2 ** 28;

/** Throws model_load_failed, naming the file, when it is missing, cut short, or no GGUF file. */
export async function readGguf(path: string, { arrays = false } = {}): Promise<GgufInfo> {
  let file: FileHandle;
  try {
    file = await open(path);
  } catch (cause) {
    throw broken(path, 'it cannot be opened', cause);
  }
  try {
    const { size } = await file.stat();
    let bytes: Buffer = Buffer.alloc(0);
    for (let length = 2 ** 20; ; length *= 4) {
      bytes = await grow(file, bytes, Math.min(length, size));
      const header = parseHeader(bytes, path, arrays);
      if (header) return describe(header, size, path);
      if (bytes.length === size) throw broken(path, `it ends within its header, after ${size} bytes`);
      if (length >= largestHeader) throw broken(path, 'its header does not end');
    }
  } finally {
    await file.close();
  }
}

const broken = (path: string, why: string, cause?: unknown) =>
  new ViaductError('model_load_failed', `${path} is not a usable GGUF file: ${why}.`, { cause });

async function grow(file: FileHandle, had: Buffer, length: number): Promise<Buffer> {
  const bytes = Buffer.allocUnsafe(length);
  had.copy(bytes);
  let at = had.length;
  while (at < length) {
    const { bytesRead } = await file.read(bytes, at, length - at, at);
    if (bytesRead === 0) break;
    at += bytesRead;
  }
  return bytes.subarray(0, at);
}

type Tensor = TensorInfo & { typeId: number; offset: number; elements: number };
type Header = { metadata: Record<string, Json>; tensors: Tensor[]; marks: MiddleMarks | undefined; dataStart: number };

/** The bytes end before the header does. */
const short = Symbol('short');

/** Bytes from the start of a file → header; undefined when more bytes are needed. */
function parseHeader(bytes: Buffer, path: string, arrays: boolean): Header | undefined {
  try {
    return readHeader(reader(bytes), bytes, path, arrays);
  } catch (thrown) {
    if (thrown === short) return undefined;
    throw thrown;
  }
}

type Reader = ReturnType<typeof reader>;

function reader(bytes: Buffer) {
  let at = 0;
  const take = (length: number) => {
    const start = at;
    if (start + length > bytes.length) throw short;
    at += length;
    return start;
  };
  const u32 = () => bytes.readUInt32LE(take(4));
  const u64 = () => {
    const start = take(8);
    return bytes.readUInt32LE(start) + bytes.readUInt32LE(start + 4) * 2 ** 32;
  };
  const i64 = () => Number(bytes.readBigInt64LE(take(8)));
  const skip = (length: number) => {
    take(length);
  };
  const string = () => {
    const length = u64();
    const start = take(length);
    return bytes.toString('utf8', start, start + length);
  };
  return { take, skip, u32, u64, i64, string, position: () => at };
}

function readHeader(read: Reader, bytes: Buffer, path: string, arrays: boolean): Header {
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
    metadata[key] = readValue(read, bytes, type, path, arrays);
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

/** Bytes of one value of each scalar type; 8 (string) and 9 (array) have none. */
const scalarSizes: Record<number, number> = { 0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8 };

function readValue(read: Reader, bytes: Buffer, type: number, path: string, arrays: boolean): Json {
  switch (type) {
    case 0:
      return bytes.readUInt8(read.take(1));
    case 1:
      return bytes.readInt8(read.take(1));
    case 2:
      return bytes.readUInt16LE(read.take(2));
    case 3:
      return bytes.readInt16LE(read.take(2));
    case 4:
      return read.u32();
    case 5:
      return bytes.readInt32LE(read.take(4));
    case 6:
      return bytes.readFloatLE(read.take(4));
    case 7:
      return bytes.readUInt8(read.take(1)) !== 0;
    case 8:
      return read.string();
    case 9:
      return readArray(read, bytes, path, arrays);
    case 10:
      return read.u64();
    case 11:
      return read.i64();
    case 12:
      return bytes.readDoubleLE(read.take(8));
    default:
      throw broken(path, `its header has a value of unknown type ${type}`);
  }
}

function readArray(read: Reader, bytes: Buffer, path: string, arrays: boolean): Json {
  const type = read.u32();
  const length = read.u64();
  if (arrays || length <= longestShortArray) {
    const values: Json[] = [];
    for (let index = 0; index < length; index += 1) values.push(readValue(read, bytes, type, path, arrays));
    return values;
  }
  const size = scalarSizes[type];
  if (size !== undefined) read.skip(size * length);
  else for (let index = 0; index < length; index += 1) skipValue(read, bytes, type, path);
  return null;
}

function skipValue(read: Reader, bytes: Buffer, type: number, path: string) {
  if (type === 8) read.skip(read.u64());
  else readValue(read, bytes, type, path, false);
}

/** How model families spell the marks of filling in the middle: before the prefix, the suffix and the middle. */
const middleTokens: [string, string, string][] = [
  ['<|fim_prefix|>', '<|fim_suffix|>', '<|fim_middle|>'],
  ['<fim_prefix>', '<fim_suffix>', '<fim_middle>'],
  ['<fim-prefix>', '<fim-suffix>', '<fim-middle>'],
  ['<｜fim▁begin｜>', '<｜fim▁hole｜>', '<｜fim▁end｜>'],
  ['<|fim_begin|>', '<|fim_hole|>', '<|fim_end|>'],
  ['<|code_prefix|>', '<|code_suffix|>', '<|code_middle|>'],
  ['▁<PRE>', '▁<SUF>', '▁<MID>'],
  ['<PRE>', '<SUF>', '<MID>'],
];

/** `tokens` is the vocabulary as it stands in the file: each token with its length before it. */
function marksAmong(tokens: Buffer): MiddleMarks | undefined {
  const has = (text: string) => {
    const token = Buffer.from(text);
    const length = Buffer.alloc(8);
    length.writeUInt32LE(token.length);
    return tokens.includes(Buffer.concat([length, token]));
  };
  const found = middleTokens.find((marks) => marks.every(has));
  return found && { prefix: found[0], suffix: found[1], middle: found[2] };
}

/** What the file itself says of its marks, in the newer or the older words. */
function marksOf(metadata: Record<string, Json>): MiddleMarks | undefined {
  const id = (name: string, older: string) =>
    metadata[`tokenizer.ggml.${name}_token_id`] ?? metadata[`tokenizer.ggml.${older}_token_id`];
  const prefix = id('fim_pre', 'prefix');
  const suffix = id('fim_suf', 'suffix');
  const middle = id('fim_mid', 'middle');
  if (typeof prefix !== 'number' || typeof suffix !== 'number' || typeof middle !== 'number') return undefined;
  return { prefix, suffix, middle };
}

function describe({ metadata, tensors, marks, dataStart }: Header, fileSize: number, path: string): GgufInfo {
  for (const { name, typeId, offset, elements } of tensors) {
    const type = tensorTypes[typeId];
    if (!type) continue;
    const end = dataStart + offset + (elements / type.block) * type.bytes;
    if (end > fileSize)
      throw broken(path, `it is cut short: tensor "${name}" ends at byte ${end}, the file has ${fileSize}`);
  }
  const text = (key: string) => (typeof metadata[key] === 'string' ? (metadata[key] as string) : undefined);
  const architecture = text('general.architecture');
  if (!architecture) throw broken(path, 'its header names no architecture');
  const number = (key: string) => largestNumber(metadata[`${architecture}.${key}`]);
  const embeddingLength = number('embedding_length');
  const headCount = number('attention.head_count');
  const headWidth = embeddingLength && headCount ? Math.floor(embeddingLength / headCount) : undefined;
  return defined({
    architecture,
    type: text('general.type'),
    name: text('general.name'),
    contextLength: number('context_length'),
    embeddingLength,
    blockCount: number('block_count'),
    headCount,
    headCountKv: number('attention.head_count_kv') ?? headCount,
    keyLength: number('attention.key_length') ?? headWidth,
    valueLength: number('attention.value_length') ?? headWidth,
    vocabularySize: number('vocab_size') ?? tensors.find(({ name }) => name === 'token_embd.weight')?.shape[1],
    parameterCount: tensors.reduce((sum, { elements }) => sum + elements, 0),
    quantization: quantizationOf(metadata['general.file_type'], tensors),
    chatTemplate: text('tokenizer.chat_template'),
    middleMarks: marks,
    fileSize,
    metadata,
    tensors: tensors.map(({ name, type, shape }) => ({ name, type, shape })),
  });
}

/** Per-layer values come as arrays: what counts for memory is the largest. */
function largestNumber(value: Json | undefined): number | undefined {
  const numbers = (Array.isArray(value) ? value : [value]).filter((entry) => typeof entry === 'number');
  return numbers.length > 0 ? Math.max(...numbers) : undefined;
}

/** The file's own word for it, else the type that most weights have. */
function quantizationOf(fileType: Json | undefined, tensors: Tensor[]): string {
  const named = typeof fileType === 'number' ? fileTypes[fileType] : undefined;
  if (named) return named;
  const weights = new Map<string, number>();
  for (const { type, elements } of tensors) weights.set(type, (weights.get(type) ?? 0) + elements);
  return [...weights].sort(([, a], [, b]) => b - a)[0]?.[0] ?? 'unknown';
}

type Defined<T> = { [K in keyof T as undefined extends T[K] ? never : K]: T[K] } & {
  [K in keyof T as undefined extends T[K] ? K : never]?: Exclude<T[K], undefined>;
};
const defined = <T extends object>(record: T) =>
  Object.fromEntries(Object.entries(record).filter(([, value]) => value !== undefined)) as Defined<T>;
