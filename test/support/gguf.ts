/** GGUF files made for tests. Source: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md */
import { randomBytes } from 'node:crypto';

const u32 = (value: number) => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
};
const u64 = (value: number) => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
};
const text = (value: string) => Buffer.concat([u64(Buffer.byteLength(value)), Buffer.from(value)]);

type Value = number | string | boolean | string[];

function value(given: Value): Buffer {
  if (typeof given === 'string') return Buffer.concat([u32(8), text(given)]);
  if (typeof given === 'boolean') return Buffer.concat([u32(7), Buffer.from([given ? 1 : 0])]);
  if (Array.isArray(given)) return Buffer.concat([u32(9), u32(8), u64(given.length), ...given.map(text)]);
  return Buffer.concat([u32(4), u32(given)]);
}

export type TestGguf = {
  name?: string;
  architecture?: string;
  /** Size of the one tensor, about. */
  weightBytes?: number;
  metadata?: Record<string, Value>;
};

/** A whole file with one tensor of random F32 weights. */
export function makeGguf({
  name = 'test',
  architecture = 'llama',
  weightBytes = 4096,
  metadata = {},
}: TestGguf = {}): Buffer {
  const pairs: Record<string, Value> = {
    'general.architecture': architecture,
    'general.name': name,
    'general.file_type': 0,
    [`${architecture}.context_length`]: 2048,
    [`${architecture}.embedding_length`]: 64,
    [`${architecture}.block_count`]: 2,
    [`${architecture}.attention.head_count`]: 4,
    ...metadata,
  };
  const weights = Math.max(1, Math.floor(weightBytes / 4));
  const header = Buffer.concat([
    Buffer.from('GGUF'),
    u32(3),
    u64(1),
    u64(Object.keys(pairs).length),
    ...Object.entries(pairs).flatMap(([key, given]) => [text(key), value(given)]),
    text('token_embd.weight'),
    u32(1),
    u64(weights),
    u32(0),
    u64(0),
  ]);
  const padding = Buffer.alloc((32 - (header.length % 32)) % 32);
  return Buffer.concat([header, padding, randomBytes(weights * 4)]);
}
