/** How much memory there is, and how much a model will take. All sizes in bytes. */
import { readFile } from 'node:fs/promises';
import { freemem, totalmem } from 'node:os';
import type { Json } from '../core/json.ts';
import type { GgufInfo } from '../models/gguf.ts';

/** Memory that new processes may take without pushing others out, the container's limit included. */
export async function availableMemory(): Promise<number> {
  if (process.platform === 'linux') {
    const machine = /^MemAvailable:\s+(\d+) kB/m.exec(await text('/proc/meminfo'))?.[1];
    const limits = [machine === undefined ? freemem() : Number(machine) * 1024, await cgroupMemory()];
    return Math.min(...limits.filter((limit) => limit !== undefined));
  }
  // What macOS calls free leaves out the caches that it would give up.
  return process.platform === 'darwin' ? Math.max(freemem(), totalmem() * 0.6) : freemem();
}

/**
 * What the control group leaves, its droppable file cache counted as free. Source:
 * https://docs.kernel.org/admin-guide/cgroup-v2.html
 */
async function cgroupMemory(): Promise<number | undefined> {
  const folder = '/sys/fs/cgroup';
  const own = /^0::(.*)$/m.exec(await text('/proc/self/cgroup'))?.[1] ?? '';
  for (const path of new Set([`${folder}${own}`, folder])) {
    const limit = Number.parseInt(await text(`${path}/memory.max`), 10);
    const used = Number.parseInt(await text(`${path}/memory.current`), 10);
    if (Number.isNaN(limit) || Number.isNaN(used)) continue;
    const cache = Number(/^inactive_file (\d+)/m.exec(await text(`${path}/memory.stat`))?.[1] ?? 0);
    return Math.max(0, limit - used + cache);
  }
  return undefined;
}

const text = (path: string) => readFile(path, 'utf8').catch(() => '');

/** What a model needs, apart from how many tokens it shall hold. */
export type ModelMemory = {
  /** Files mapped into memory. */
  weights: number;
  /** Process, compute buffers, output. */
  overhead: number;
  /** Key-value cache of one slot with that many tokens. */
  cache(tokens: number): number;
};

/** Tokens of one engine step; the buffers for intermediate results grow with it. */
export const microBatch = 512;

/**
 * Estimated from the GGUF header: an entry of the key-value cache is two vectors a layer in 16-bit floats.
 * Source: https://github.com/ggml-org/llama.cpp/blob/master/src/llama-kv-cache.cpp
 */
export function modelMemory(gguf: GgufInfo, otherFiles: number): ModelMemory {
  const weights = gguf.fileSize + otherFiles;
  const step = microBatch * ((gguf.embeddingLength ?? 1024) * 16 + (gguf.vocabularySize ?? 32_000)) * 4;
  const overhead = 96 * 2 ** 20 + Math.round(step / 2);
  const layers = gguf.blockCount ?? 0;
  const causal = gguf.metadata[`${gguf.architecture}.attention.causal`] !== false;
  if (!causal) return { weights, overhead, cache: () => 0 };

  const window = numberOf(gguf.metadata[`${gguf.architecture}.attention.sliding_window`]);
  const sizes = Array.from({ length: layers }, (_, layer) => ({
    bytes: bytesPerToken(gguf, layer),
    windowed: window !== undefined && isWindowed(gguf, layer),
  }));
  return {
    weights,
    overhead,
    cache: (tokens) =>
      sizes.reduce(
        (sum, { bytes, windowed }) =>
          sum + bytes * (windowed ? Math.min(tokens, (window ?? tokens) + microBatch) : tokens),
        0,
      ),
  };
}

function bytesPerToken(gguf: GgufInfo, layer: number): number {
  const { architecture, metadata, embeddingLength = 0, headCount = 1 } = gguf;
  const rank = numberOf(metadata[`${architecture}.attention.kv_lora_rank`]);
  // Multi-head latent attention keeps one compressed vector and the rotated part of the key.
  if (rank) return (rank + (numberOf(metadata[`${architecture}.rope.dimension_count`]) ?? 64)) * 2;
  const perLayer = metadata[`${architecture}.attention.head_count_kv`];
  const heads = Array.isArray(perLayer) ? (numberOf(perLayer[layer]) ?? 0) : (gguf.headCountKv ?? headCount);
  const width = embeddingLength / headCount;
  return heads * ((gguf.keyLength ?? width) + (gguf.valueLength ?? width)) * 2;
}

/** Every n-th layer of these families sees everything, the others a window. Others are counted as if all saw everything. */
const fullEvery: Record<string, number> = { gemma2: 2, gemma3: 6, gemma3n: 5, 'gpt-oss': 2, cohere2: 4 };

function isWindowed({ architecture, metadata }: GgufInfo, layer: number): boolean {
  const pattern = metadata[`${architecture}.attention.sliding_window_pattern`];
  if (Array.isArray(pattern)) return pattern[layer] === true || pattern[layer] === 1;
  const every = numberOf(pattern) ?? fullEvery[architecture];
  return every !== undefined && every > 0 && layer % every < every - 1;
}

const numberOf = (value: Json | undefined) => (typeof value === 'number' ? value : undefined);
