/** The HTTP app with a model store and nothing else behind it, listening on a free loopback port. */
import './contract-hook.ts';
import type { AddressInfo } from 'node:net';
import { createApp } from '../../src/api/app.ts';
import type { Services } from '../../src/api/define.ts';
import type { Scheduler } from '../../src/engine/scheduler.ts';
import { createGateway } from '../../src/gateway/gateway.ts';
import type { StoreRoot } from '../../src/models/roots.ts';
import { createModelStore } from '../../src/models/store.ts';

export async function startModelsApp(roots: [StoreRoot, ...StoreRoot[]]) {
  const models = createModelStore({ roots });
  const scheduler = { loaded: () => [], unload: () => false } as Partial<Scheduler> as Scheduler;
  const services = { gateway: createGateway({ providers: new Map() }), models, scheduler, now: Date.now };
  const app = createApp(services as Partial<Services> as Services);
  await app.listen({ host: '127.0.0.1', port: 0 });
  const { port } = app.server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}`, models, close: () => app.close() };
}
