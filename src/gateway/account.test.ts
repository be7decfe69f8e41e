import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Agent, request } from 'undici';
import { entry, testBoundary } from '../../test/support/boundary.ts';
import { ledgerStore } from '../store/ledger.ts';
import { LedgerBatch } from '../store/ledger-batch.ts';
import { openStore } from '../store/open.ts';
import { openLedger } from './account.ts';
import { openLedgerFile, readLedgerFile } from './ledger-file.ts';

const folderFor = (t: { after(work: () => void): void }) => {
  const folder = mkdtempSync(join(tmpdir(), 'viaduct-ledger-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
};
const never = (error: unknown) => assert.fail(String(error));

test('kill -9 at any moment, 50 times: no finished request is lost, none counts twice', async (t) => {
  const home = folderFor(t);
  const finished = new Set<string>();
  await openStore({ database: 'sqlite', home }).then((db) => db.destroy());

  // Five at a time on one home: a program that starts must not take the file of one that still writes.
  const lifeOf = async (name: string) => {
    const child = fork(join(import.meta.dirname, '../../test/support/ledger-server.ts'), [home], {
      execArgv: ['--disable-warning=ExperimentalWarning'],
    });
    t.after(() => child.kill('SIGKILL'));
    const ended = once(child, 'exit').then(([code]) => assert.fail(`the server ended with ${code} before it listened`));
    ended.catch(() => {});
    const [port] = await Promise.race([once(child, 'message'), ended]);
    const dispatcher = new Agent();
    const client = async (client: number) => {
      for (let n = 0; ; n++) {
        const id = `${name}-${client}-${n}`;
        const reply = await request(`http://127.0.0.1:${port}/`, { dispatcher, headers: { 'x-request-id': id } });
        await reply.body.dump();
        finished.add(id);
      }
    };
    const clients = [1, 2, 3, 4].map((number) => client(number).catch(() => {}));
    await sleep(Math.random() * 400);
    child.kill('SIGKILL');
    await Promise.all(clients);
    await dispatcher.destroy();
  };
  const lives = async (name: string) => {
    for (let life = 0; life < 10; life++) await lifeOf(`${name}${life}`);
  };
  await Promise.all(['a', 'b', 'c', 'd', 'e'].map(lives));

  const db = await openStore({ database: 'sqlite', home });
  t.after(() => db.destroy());
  await openLedger(db, join(home, 'ledger'), never).then((ledger) => ledger.close());
  const rows = await db.selectFrom('ledger').select(['request_id', 'attempt', 'cost_nano']).execute();
  const seen = new Set(rows.map(({ request_id, attempt }) => `${request_id}#${attempt}`));
  assert.equal(seen.size, rows.length, 'an attempt is there twice');
  const lost = [...finished].filter((id) => !seen.has(`${id}#1`) || !seen.has(`${id}#2`));
  assert.deepEqual(lost, []);
  assert.ok(finished.size > 500, `only ${finished.size} requests finished`);
  const [sums] = await ledgerStore(db).usage({ by: 'model' });
  const first = rows.filter(({ attempt }) => attempt === 1).length;
  assert.equal(sums?.requests, first);
  assert.equal(sums?.attempts, rows.length);
  assert.equal(sums?.cost_nano, (rows.length - first) * 1_000_000);
  assert.deepEqual(readdirSync(join(home, 'ledger')), []);
});

test('a report has what was accounted just before', async (t) => {
  const { account, ledger } = await testBoundary(t);
  account(entry({ requestId: 'just-now' }));
  const [row] = await ledger.reports.requests({ limit: 1 });
  assert.equal(row?.request_id, 'just-now');
  account(entry({}));
  const [day] = await ledger.reports.usage({ by: 'day' });
  assert.equal(day?.attempts, 2);
});

test('a thousand entries are written at once, without waiting for more', async (t) => {
  const { db, ledger } = await testBoundary(t);
  const written = ledgerStore(db);
  for (let n = 0; n < 1000; n++) ledger.append(rowOf(`row-${n}`));
  await new Promise(setImmediate);
  // One query after another: the batch was asked for before this one.
  assert.equal((await written.usage({ by: 'day' }))[0]?.attempts, 1000);
});

test('a database that is away loses nothing, and the entries are there when it is back', async (t) => {
  const home = folderFor(t);
  const away = await openStore({ database: 'sqlite', home });
  const ledger = await openLedger(away, join(home, 'ledger'), () => {});
  const boundary = await testBoundary(t);
  const rows = Array.from({ length: 3 }, () => entry({ cost: 1 }));
  await away.destroy();
  for (const { id } of rows) ledger.append(rowOf(id));
  await assert.rejects(ledger.flush());
  await assert.rejects(ledger.close());
  const back = await openLedger(boundary.db, join(home, 'ledger'), never);
  t.after(() => back.close());
  assert.deepEqual(
    (await ledgerStore(boundary.db).requests({ limit: 9 })).map(({ id }) => id).sort(),
    rows.map(({ id }) => id).sort(),
  );
});

test('more entries than memory keeps are read from the files again', async (t) => {
  const home = folderFor(t);
  const real = await openStore({ database: 'sqlite', home });
  t.after(() => real.destroy());
  let broken = true;
  const db = new Proxy(real, {
    get(target, name, receiver) {
      if (broken && name === 'transaction') throw new Error('away');
      const value = Reflect.get(target, name, receiver);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
  const ledger = await openLedger(db, join(home, 'ledger'), () => {});
  for (let n = 0; n < 20_010; n++) ledger.append(rowOf(`row-${n}`));
  await assert.rejects(ledger.flush());
  ledger.append(rowOf('last'));
  broken = false;
  await ledger.close();
  assert.equal((await ledgerStore(real).usage({ by: 'day' }))[0]?.attempts, 20_011);
  assert.deepEqual(readdirSync(join(home, 'ledger')), []);
});

test('half a line at the end of a file is not an entry', (t) => {
  const folder = folderFor(t);
  const file = openLedgerFile(folder);
  file.append(new LedgerBatch().add([rowOf('whole')]));
  const [path = ''] = file.rotate();
  file.close();
  appendFileSync(path, '["half","requ');
  assert.deepEqual(
    readLedgerFile(path).map(({ id }) => id),
    ['whole'],
  );
});

function rowOf(id: string) {
  return {
    id,
    request_id: id,
    attempt: 1,
    shadow: 0,
    key_id: '',
    team_id: '',
    endpoint: '/v1/chat/completions',
    model: 'm',
    provider: 'p',
    target: 't',
    input_tokens: 1,
    output_tokens: 1,
    cache_read_tokens: 0,
    cache_write_tokens: 0,
    reasoning_tokens: 0,
    image_tokens: 0,
    cost_nano: 1,
    status: 'ok',
    cause: null,
    started_at: Date.now(),
    first_token_ms: null,
    total_ms: 1,
    queue_ms: 0,
    load_ms: 0,
    digest: null,
    stream: 0,
    estimated: 0,
    tags: '[]',
    metadata: '{}',
  };
}
