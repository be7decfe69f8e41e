/** viaduct ps — which models are loaded, on what, and until when. */
import { formatBytes } from '../models/disk.ts';
import { type Command, jsonOption } from './define.ts';
import { table } from './table.ts';

type Loaded = {
  name: string;
  digest: string;
  size: number;
  size_vram: number;
  expires_at: string;
  context_length: number;
  parallel: number;
};

export const ps: Command = {
  usage: 'ps',
  summary: 'List loaded models',
  options: [jsonOption],
  async run(_args, { json }, io) {
    const client = await io.connect();
    const { models } = await client.json<{ models: Loaded[] }>('GET', '/api/ps');
    if (json) return io.out(JSON.stringify(models));
    if (models.length === 0) return io.out('No model is loaded. Load one with: viaduct run NAME');
    const rows = models.map((model) => [
      model.name,
      model.digest.slice(0, 12),
      formatBytes(model.size),
      processor(model),
      `${model.context_length} × ${model.parallel}`,
      until(model.expires_at),
    ]);
    for (const line of table([['NAME', 'ID', 'SIZE', 'PROCESSOR', 'CONTEXT', 'UNTIL'], ...rows])) io.out(line);
  },
};

function processor({ size, size_vram }: Loaded): string {
  const gpu = Math.round((size_vram / size) * 100);
  if (gpu <= 0) return '100% CPU';
  return gpu >= 100 ? '100% GPU' : `${100 - gpu}%/${gpu}% CPU/GPU`;
}

function until(expiresAt: string): string {
  const seconds = Math.max(0, Math.round((Date.parse(expiresAt) - Date.now()) / 1000));
  if (seconds > 100 * 365 * 86_400) return 'forever';
  if (seconds < 120) return `${seconds} s from now`;
  return seconds < 7200 ? `${Math.round(seconds / 60)} min from now` : `${Math.round(seconds / 3600)} h from now`;
}
