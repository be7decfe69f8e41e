import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import { createDeadlines, type Deadline } from './deadlines.ts';

test('what is due expires once, what was moved or removed does not', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.constantFrom('due', 'later', 'moved', 'removed', 'twice removed'), { maxLength: 30 }),
      async (kinds) => {
        const deadlines = createDeadlines(1);
        const expired = kinds.map(() => 0);
        const all = kinds.map((kind, index): Deadline => {
          const deadline = {
            at: Date.now() + (kind === 'later' ? 60_000 : 0),
            expire: () => {
              expired[index] = (expired[index] ?? 0) + 1;
            },
            place: -1,
          };
          deadlines.add(deadline);
          return deadline;
        });
        kinds.forEach((kind, index) => {
          const deadline = all[index] as Deadline;
          if (kind === 'moved') deadline.at += 60_000;
          if (kind.includes('removed')) deadlines.remove(deadline);
          if (kind === 'twice removed') deadlines.remove(deadline);
        });
        await sleep(10);
        assert.deepEqual(
          expired,
          kinds.map((kind) => (kind === 'due' ? 1 : 0)),
        );
        for (const deadline of all) deadlines.remove(deadline);
      },
    ),
    { numRuns: 20 },
  );
});
