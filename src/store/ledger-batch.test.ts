import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { decodeRows, LedgerBatch, valuesOf } from './ledger-batch.ts';
import { dayMs, type LedgerRow, ledgerColumns } from './ledger-tables.ts';

const name = fc.string({ unit: 'grapheme', maxLength: 20 });
const count = fc.nat(1e9);
const rowArbitrary: fc.Arbitrary<LedgerRow> = fc.record(
  {
    id: name,
    request_id: name,
    attempt: fc.nat(3),
    shadow: fc.nat(1),
    key_id: fc.constantFrom('', 'k1', 'k2'),
    team_id: fc.constantFrom('', 't1'),
    endpoint: name,
    model: fc.constantFrom('m1', 'm2'),
    provider: fc.constantFrom('p1', 'p2'),
    target: name,
    input_tokens: count,
    output_tokens: count,
    cache_read_tokens: count,
    cache_write_tokens: count,
    reasoning_tokens: count,
    image_tokens: count,
    cost_nano: fc.option(count),
    status: fc.constantFrom('ok', 'error', 'aborted'),
    cause: fc.option(name),
    started_at: fc.integer({ min: Date.UTC(2026, 0), max: Date.UTC(2026, 0, 3) }),
    first_token_ms: fc.option(count),
    total_ms: count,
    queue_ms: count,
    load_ms: count,
    digest: fc.option(name),
    stream: fc.nat(1),
    estimated: fc.nat(1),
    tags: name,
    metadata: name,
  },
  { noNullPrototype: true },
);

test('rows come out as they went in, and their sums are those of their days', () => {
  fc.assert(
    fc.property(fc.array(fc.array(rowArbitrary, { maxLength: 5 }), { maxLength: 5 }), (additions) => {
      const batch = new LedgerBatch();
      const lines = additions.map((rows) => batch.add(rows).toString());
      const rows = additions.flat();
      assert.equal(batch.size, rows.length);
      assert.deepEqual(batch.rows(), rows);
      assert.deepEqual(batch.values(), rows.map(valuesOf));
      assert.equal(batch.lines(), lines.join(''));
      const days = batch.days();
      const total = (of: (day: (typeof days)[number]) => number) => days.reduce((sum, day) => sum + of(day), 0);
      assert.equal(
        total((day) => day.attempts),
        rows.length,
      );
      assert.equal(
        total((day) => day.cost_nano),
        rows.reduce((sum, row) => sum + (row.cost_nano ?? 0), 0),
      );
      assert.ok(days.every(({ day }) => day % dayMs === 0));
      batch.clear();
      assert.deepEqual([batch.size, batch.rows(), batch.days(), batch.lastUsed()], [0, [], [], []]);
    }),
  );
});

test('a key was last used when its latest row started, wherever that stands', () => {
  const row = (key_id: string, started_at: number) => ({ ...sample, key_id, started_at });
  const batch = LedgerBatch.of([row('k2', 5), row('k1', 9), row('k2', 3), row('', 99)]);
  assert.deepEqual(batch.lastUsed(), [
    ['k1', 9],
    ['k2', 5],
  ]);
});

test('lines end at the first that is none', () => {
  const whole = new LedgerBatch().add([sample]).toString();
  for (const broken of ['["half', '{"id":"other"}', '[1,2]', 'null'])
    assert.deepEqual(decodeRows(`${whole}${broken}\n${whole}`), [sample], broken);
});

const [sample = {} as LedgerRow] = fc.sample(rowArbitrary, { numRuns: 1, seed: 1 });

test('every column is in a line', () => {
  assert.deepEqual([...ledgerColumns].sort(), Object.keys(sample).sort());
});
