import type { TestContext } from 'node:test';

/** A real server that a test needs cannot be had: the run says so, and in CI that is a failure. */
export function unavailable(t: TestContext, what: string) {
  const message = `${what} is not installed (apt-get install ${what}), so this was not tested`;
  if (process.env['CI']) throw new Error(message);
  t.skip(message);
}
