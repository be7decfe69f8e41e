import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';

const run = (program: string) =>
  spawnSync(
    process.execPath,
    [
      '--input-type=module',
      '-e',
      `const { createLog } = await import(${JSON.stringify(`${import.meta.dirname}/log.ts`)}); ${program}`,
    ],
    { encoding: 'utf8' },
  )
    .stderr.split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line) as Record<string, unknown>);

test('every line is there, in order, also when the process exits at once', () => {
  const lines = run(
    `const log = createLog('info'); for (let n = 0; n < 5000; n++) log.plain({ n }, 'call'); log.info({ api_key: 'sk-secret' }, 'end'); process.exit();`,
  );
  assert.equal(lines.length, 5001);
  assert.deepEqual(
    lines.slice(0, 5000).map(({ n }) => n),
    Array.from({ length: 5000 }, (_, n) => n),
  );
  assert.equal(lines[0]?.['msg'], 'call');
  assert.equal(lines[0]?.['level'], 30);
  assert.match(String(lines[0]?.['time']), /^\d{4}-\d\d-\d\dT/);
  assert.equal(lines[5000]?.['api_key'], '[redacted]');
});

test('a level silences what is below it', () => {
  const lines = run(`const log = createLog('warn'); log.plain({}, 'a'); log.info({}, 'b'); log.warn({}, 'c');`);
  assert.deepEqual(
    lines.map(({ msg }) => msg),
    ['c'],
  );
});
