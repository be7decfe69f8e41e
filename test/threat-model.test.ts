/** The page docs/threat-model.md names a test for every threat: they are all there. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

const root = join(import.meta.dirname, '..');
const page = readFileSync(join(root, 'docs/threat-model.md'), 'utf8');
const rows = page
  .split('\n')
  .filter((line) => line.startsWith('| ') && !line.startsWith('| Threat'))
  .map((line) => line.split('|').map((cell) => cell.trim()));

for (const [, threat = '', , tests = ''] of rows)
  test(threat, () => {
    const mentions = [...tests.matchAll(/`([^`]+\.test\.ts)`((?:,? "[^"]+")*)/g)];
    assert.ok(mentions.length > 0, 'no test is named');
    for (const [, file = '', names = ''] of mentions) {
      const source = readFileSync(join(root, file), 'utf8');
      for (const [, name = ''] of names.matchAll(/"([^"]+)"/g))
        assert.ok(source.includes(name), `${file} has no test "${name}…"`);
    }
  });
