/** viaduct list — which models are here. */
import { formatBytes } from '../models/disk.ts';
import { type Command, jsonOption } from './define.ts';
import { table } from './table.ts';

type Listed = { name: string; digest: string; size: number; modified_at: string };

export const list: Command = {
  usage: 'list [prefix]',
  aliases: ['ls'],
  summary: 'List the models on this machine',
  options: [jsonOption],
  async run([prefix = ''], { json }, io) {
    const client = await io.connect();
    const all = (await client.json<{ models: Listed[] }>('GET', '/api/tags')).models;
    const models = all.filter(({ name }) => name.toLowerCase().startsWith(prefix.toLowerCase()));
    if (json) return io.out(JSON.stringify(models));
    if (all.length === 0) return io.out('No model is here yet. Pull one with: viaduct pull smollm2:135m');
    const rows = models.map(({ name, digest, size, modified_at }) => [
      name,
      digest.slice(0, 12),
      formatBytes(size),
      ago(Date.parse(modified_at)),
    ]);
    for (const line of table([['NAME', 'ID', 'SIZE', 'MODIFIED'], ...rows])) io.out(line);
  },
};

const units: [name: string, seconds: number][] = [
  ['day', 86_400],
  ['hour', 3600],
  ['minute', 60],
];

function ago(at: number): string {
  const seconds = Math.max(0, (Date.now() - at) / 1000);
  for (const [unit, length] of units) {
    const count = Math.floor(seconds / length);
    if (count > 0) return `${count} ${unit}${count > 1 ? 's' : ''} ago`;
  }
  return 'just now';
}
