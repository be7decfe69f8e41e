/**
 * A small server for the kill test: every request is accounted for and then answered. Home folder and database are its
 * arguments.
 */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createAccount, openLedger } from '../../src/gateway/account.ts';
import { createDirectory } from '../../src/gateway/directory.ts';
import { openStore } from '../../src/store/open.ts';
import { entry } from './boundary.ts';

const [home = '', database = 'sqlite'] = process.argv.slice(2);
const fail = (error: unknown) => {
  throw error;
};
const db = await openStore({ database, home });
const ledger = await openLedger(db, `${home}/ledger`, fail);
const directory = await createDirectory(db, fail);
const noBudgets = { prepare: fail, spend() {}, spent: async () => 0, close: async () => {} };
const account = createAccount({ ledger, directory, counters: noBudgets });

const server = createServer(async (request, response) => {
  const requestId = request.headers['x-request-id'] as string;
  account(entry({ requestId, attempt: 1, status: 'error', cause: 'provider_timeout' }));
  await account(entry({ requestId, attempt: 2, cost: 0.001 }));
  response.end();
});
server.listen(0, '127.0.0.1', () => process.send?.((server.address() as AddressInfo).port));
