/**
 * What idle WebSocket connections to /v1/responses cost: 1,000 of them, fresh and after one turn each. Target: ≤ 60 MB.
 * Run: node --expose-gc bench/responses-idle.ts
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { WebSocket } from 'ws';
import { startResponsesApp } from '../test/support/responses-app.ts';
import { say } from '../test/support/scripted-app.ts';

const connections = 1000;
const megabyte = 2 ** 20;

async function connect(url: string, withTurn: boolean) {
  for (let count = 0; count < connections; count++) {
    const socket = new WebSocket(url);
    await once(socket, 'open');
    if (!withTurn) continue;
    socket.send(JSON.stringify({ type: 'response.create', model: 'm', store: false, input: `hello ${count}` }));
    await new Promise<void>((resolve) => {
      socket.on('message', (data) => String(data).includes('"response.completed"') && resolve());
    });
  }
  process.send?.('open');
}

/** Resident memory, after two collections, in bytes. */
async function resident(): Promise<number> {
  for (let round = 0; round < 2; round++) {
    globalThis.gc?.();
    await sleep(300);
  }
  return process.memoryUsage().rss;
}

async function measure() {
  const app = await startResponsesApp({ chat: () => say('a', 'b') });
  for (const mode of ['idle', 'turn']) {
    const before = await resident();
    const clients = fork(import.meta.filename, [`${app.url.replace('http', 'ws')}/v1/responses`, mode]);
    await once(clients, 'message');
    const grown = (await resident()) - before;
    console.log(`${connections} connections, ${mode}: ${(grown / megabyte).toFixed(1)} MB`);
    clients.kill();
    await once(clients, 'exit');
    await sleep(500);
  }
  await app.close();
}

const [url, mode] = process.argv.slice(2);
if (url) await connect(url, mode === 'turn');
else await measure();
