/**
 * GGUF files: what their header says, read from disk without the tensors.
 * Sources: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, and ggml.h for the tensor types.
 */
import { type FileHandle, open } from 'node:fs/promises';
import type { Json } from '../core/json.ts';
import { broken, type Header, parseHeader, type Tensor, type TensorInfo } from './gguf/header.ts';
import type { MiddleMarks } from './gguf/middle-marks.ts';
import { fileTypes, tensorTypes } from './gguf/types.ts';

export type { MiddleMarks } from './gguf/middle-marks.ts';

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
