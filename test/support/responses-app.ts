/**
 * A server in this process with everything that the Responses API needs, and one scripted model. Each key is a tenant
 * of its own.
 */
import './contract-hook.ts';
import type { AddressInfo } from 'node:net';
import { createApp } from '../../src/api/app.ts';
import type { Services } from '../../src/api/define.ts';
import { createResponsesWebSocket } from '../../src/api/openai/responses-websocket.ts';
import type { ChatEvent, ChatRequest } from '../../src/core/chat.ts';
import type { CallContext, Provider } from '../../src/core/provider.ts';
import { createGateway, type LedgerEntry } from '../../src/gateway/gateway.ts';
import { createResponses } from '../../src/responses/responses.ts';
import { openStore } from '../../src/store/open.ts';

export type ResponsesApp = Awaited<ReturnType<typeof startResponsesApp>>;

export type ResponsesScript = Partial<Omit<Provider, 'chat'>> & {
  chat?(request: ChatRequest, context: CallContext): AsyncIterable<readonly ChatEvent[]>;
};

export type ResponsesAppOptions = {
  /** `database` of the configuration; a new one in memory unless set. */
  database?: string;
  secret?: string;
  connectionMs?: number;
};

export async function startResponsesApp(script: ResponsesScript, options: ResponsesAppOptions = {}) {
  const db = await openStore({ database: options.database ?? 'sqlite::memory:', home: '' });
  const secret = Buffer.from(options.secret ?? 'a secret of the test');
  const responses = await createResponses({ db, secret, now: Date.now, exclusive: true });
  const provider: Provider = {
    name: 'local',
    kind: 'local',
    relays: () => false,
    describe: (id) => (id === 'missing' ? undefined : { id }),
    models: async () => [{ id: 'm' }],
    ...script,
  };
  const ledger: LedgerEntry[] = [];
  const gateway = createGateway({
    providers: new Map([['local', provider]]),
    authenticate: ({ secret: key }) => ({ owner: key ?? 'local', admin: false }),
    account(entry) {
      ledger.push(entry);
      return undefined;
    },
  });
  const services = { gateway, responses, now: Date.now } as Partial<Services> as Services;
  const app = createApp(services);
  const sockets = createResponsesWebSocket(services, options);
  app.server.on('upgrade', (request, socket, head) => {
    if (!sockets.handle(request, socket, head)) socket.destroy();
  });
  await app.listen({ host: '127.0.0.1', port: 0 });
  const { port } = app.server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    ledger,
    responses,
    async close() {
      sockets.close();
      await app.close();
      await responses.close();
      await db.destroy();
    },
  };
}
