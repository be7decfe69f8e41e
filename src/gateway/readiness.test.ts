/** What /readyz stands on, with real servers that go away. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { testBoundary } from '../../test/support/boundary.ts';
import { startPostgres } from '../../test/support/postgres.ts';
import { startRedis } from '../../test/support/redis.ts';
import { unavailable } from '../../test/support/unavailable.ts';

test('what goes away is named, and not when it is back; asking costs one look a second', async (t) => {
  const [postgres, redis] = [await startPostgres(), await startRedis()];
  if (!postgres || !redis) {
    await Promise.all([postgres?.stop(), redis?.stop()]);
    return unavailable(t, postgres ? 'redis-server' : 'postgresql');
  }
  const boundary = await testBoundary(t, { database: await postgres.createDatabase(), redis: redis.url });
  const asked = await Promise.all(Array.from({ length: 1000 }, () => boundary.missing()));
  assert.ok(asked.every((problems) => problems === asked[0] && problems.length === 0));
  const until = async (...problems: string[]) => {
    for (let tries = 0; tries < 100; tries++) {
      const missing = await boundary.missing();
      if (missing.join() === problems.join()) return;
      await sleep(100);
    }
    assert.deepEqual(await boundary.missing(), problems);
  };
  await redis.stop();
  await until('redis unreachable');
  const again = await startRedis(Number(new URL(redis.url).port));
  await until();
  await postgres.stop();
  await until('database unreachable');
  await again?.stop();
  await until('database unreachable', 'redis unreachable');
});
