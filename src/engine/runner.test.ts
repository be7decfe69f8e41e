/** The real engine: who may talk to a runner. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { testEngine, testModel } from '../../test/support/engine.ts';
import { startRunner } from './runner.ts';

test('a runner listens on loopback only and answers nobody but its own server', async (t) => {
  const engine = await testEngine();
  const model = await testModel('smollm2:135m');
  const lines: string[] = [];
  const runner = await startRunner({
    command: [...engine.command, '--model', model.modelPath, '--host', '127.0.0.1', '--port', '0', '--ctx-size', '256'],
    ...(engine.env && { env: engine.env }),
    model: model.name,
    file: model.modelPath,
    onLine: (line) => lines.push(line),
  });
  t.after(() => runner.kill());
  const url = /http:\/\/127\.0\.0\.1:\d+/.exec(lines.find((line) => line.includes('listening on')) ?? '')?.[0];
  assert.ok(url, 'it says another address than 127.0.0.1');
  const body = JSON.stringify({ messages: [{ role: 'user', content: 'Hi' }], max_tokens: 1 });
  for (const headers of [{}, { authorization: 'Bearer guess' }]) {
    const sent = { 'content-type': 'application/json', ...headers };
    const reply = await fetch(`${url}/v1/chat/completions`, { method: 'POST', headers: sent, body });
    await reply.arrayBuffer();
    assert.equal(reply.status, 401);
  }
});
