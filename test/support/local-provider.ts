/** The local provider on the real engine and real weights, without a server around it. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import type { ChatEvent, ChatRequest, ChatResult, Message } from '../../src/core/chat.ts';
import { createFolder } from '../../src/core/collect.ts';
import { createScheduler, type Scheduler } from '../../src/engine/scheduler.ts';
import { createModelStore, type ModelStore } from '../../src/models/store.ts';
import { createLocalProvider, type LocalProvider } from '../../src/providers/local.ts';
import { testEngine } from './engine.ts';
import { makeHome } from './server.ts';

export type TestLocal = {
  provider: LocalProvider;
  models: ModelStore;
  scheduler: Scheduler;
  /** One chat to its end: what it amounts to, and the events one by one. */
  ask(request: Partial<ChatRequest> & { model: string }): Promise<ChatResult & { text: string; events: ChatEvent[] }>;
  close(): Promise<void>;
};

export const user = (text: string): Message => ({ role: 'user', parts: [{ type: 'text', text }] });
export const system = (text: string): Message => ({ role: 'system', parts: [{ type: 'text', text }] });

export const callContext = (signal = new AbortController().signal) => ({ signal, requestId: 'test', report: {} });

export async function startLocal(names: string[]): Promise<TestLocal> {
  const engine = await testEngine();
  const home = await makeHome(names);
  const models = createModelStore({ roots: [{ path: join(home, 'models'), owner: 'viaduct' }] });
  // One thread: tests run side by side, and the engine's threads wait for each other.
  const scheduler = createScheduler({ engine: async () => engine, threads: 1 });
  const provider = createLocalProvider({ models, scheduler, imageHosts: ['127.0.0.1'] });
  return {
    provider,
    models,
    scheduler,
    async ask({ messages = [user('Say hi.')], ...request }) {
      const folder = createFolder();
      const events: ChatEvent[] = [];
      for await (const batch of provider.chat?.({ messages, stream: true, ...request }, callContext()) ?? [])
        for (const event of batch) {
          events.push(event);
          folder.push(event);
        }
      const result = folder.result();
      const text = result.parts.map((part) => (part.type === 'text' ? part.text : '')).join('');
      return { ...result, text, events };
    },
    async close() {
      await scheduler.close(0);
      rmSync(home, { recursive: true, force: true });
    },
  };
}
