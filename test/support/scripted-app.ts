/** A server in this process whose one provider, `local`, says what the test wants: for doors, where no real model is needed. */
import './contract-hook.ts';
import type { AddressInfo } from 'node:net';
import { createApp } from '../../src/api/app.ts';
import type { Services } from '../../src/api/define.ts';
import type { ChatEvent, ChatRequest } from '../../src/core/chat.ts';
import type { CallContext, Provider } from '../../src/core/provider.ts';
import { createGateway } from '../../src/gateway/gateway.ts';

export type Script = Partial<Omit<Provider, 'chat'>> & {
  chat?(request: ChatRequest, context: CallContext): AsyncIterable<readonly ChatEvent[]>;
};

/** Start on a free port. `script` overrides what the provider does; a model's name is anything but `missing`. */
export async function startScriptedApp(script: Script, services: Partial<Services> = {}) {
  const provider: Provider = {
    name: 'local',
    kind: 'local',
    relays: () => false,
    describe: (id) => (id === 'missing' ? undefined : { id }),
    models: async () => [{ id: 'm', created: 1_700_000_000_000, ownedBy: 'library' }],
    ...script,
  };
  const gateway = createGateway({ providers: new Map([['local', provider]]) });
  const app = createApp({ gateway, now: Date.now, ...services } as Services);
  await app.listen({ host: '127.0.0.1', port: 0 });
  const { port } = app.server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}`, close: () => app.close() };
}

/** A short answer in pieces. */
export async function* say(...words: string[]): AsyncIterable<readonly ChatEvent[]> {
  yield [{ type: 'start', id: 'x', model: 'm' }];
  for (const text of words) yield [{ type: 'text', text }];
  yield [{ type: 'finish', reason: 'stop', usage: { input: 7, output: words.length } }];
}
