/** viaduct usage — the bill: requests, tokens and cost by key, team, model, provider or day. */
import { type Command, jsonOption } from './define.ts';
import { table } from './table.ts';

type Line = {
  group: string;
  name: string | null;
  requests: number;
  errors: number;
  input_tokens: number;
  output_tokens: number;
  cost: number;
  unpriced: number;
};

export const usage: Command = {
  usage: 'usage',
  summary: 'What was used and what it cost',
  options: [
    ['--by <what>', 'key, team, model, provider or day (default)'],
    ['--from <time>', 'from this day on: 2026-11-01'],
    ['--until <time>', 'this day included'],
    ['--key <id>', 'of this key only'],
    ['--team <team>', 'of this team only'],
    ['--model <name>', 'of this model only'],
    ['--provider <name>', 'of this provider only'],
    ['--csv', 'print CSV'],
    jsonOption,
  ],
  async run(_args, { csv, json, ...filters }, io) {
    const by = typeof filters['by'] === 'string' ? filters['by'] : 'day';
    const query = new URLSearchParams({ by });
    for (const [name, value] of Object.entries(filters)) if (typeof value === 'string') query.set(name, value);
    const client = await io.connect();
    if (csv) return io.write(await client.text('GET', `/admin/usage?${query}&format=csv`));
    const { data } = await client.json<{ data: Line[] }>('GET', `/admin/usage?${query}`);
    if (json) return io.out(JSON.stringify(data));
    if (data.length === 0) return io.out('Nothing was used in this time.');
    const rows = [...data, totalOf(data)].map((line) => [
      line.name ?? (line.group || '(no key)'),
      String(line.requests),
      String(line.errors),
      String(line.input_tokens),
      String(line.output_tokens),
      `${line.cost.toFixed(6)}${line.unpriced > 0 ? ' +' : ''}`,
    ]);
    const header = [by.toUpperCase(), 'REQUESTS', 'ERRORS', 'INPUT', 'OUTPUT', 'USD'];
    for (const line of table([header, ...rows])) io.out(line);
    if (data.some(({ unpriced }) => unpriced > 0))
      io.note('+ and requests whose price is not known: set it under prices in viaduct.yaml.');
  },
};

function totalOf(lines: Line[]): Line {
  const sum = (name: 'requests' | 'errors' | 'input_tokens' | 'output_tokens' | 'cost' | 'unpriced') =>
    lines.reduce((total, line) => total + line[name], 0);
  return {
    group: 'total',
    name: null,
    requests: sum('requests'),
    errors: sum('errors'),
    input_tokens: sum('input_tokens'),
    output_tokens: sum('output_tokens'),
    cost: sum('cost'),
    unpriced: sum('unpriced'),
  };
}
