/** A provider that answers at once: OpenAI's shape, and Anthropic's under /v1/messages. Prints its port. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

const text = 'All work and no play makes a dull reply. '.repeat(16);
const usage = { prompt_tokens: 120, completion_tokens: 100, total_tokens: 220 };
const plain = JSON.stringify({
  id: 'chatcmpl-1',
  object: 'chat.completion',
  created: 1,
  model: 'bench',
  choices: [{ index: 0, message: { role: 'assistant', content: text }, finish_reason: 'stop' }],
  usage,
});
const chunk = (delta: object, finish_reason: string | null, more: object = {}) =>
  `data: ${JSON.stringify({ id: 'chatcmpl-1', object: 'chat.completion.chunk', created: 1, model: 'bench', choices: [{ index: 0, delta, finish_reason }], ...more })}\n\n`;
const chunks = [
  ...Array.from({ length: 98 }, (_, n) => chunk({ content: ` word${n}` }, null)),
  chunk({}, 'stop'),
  `data: ${JSON.stringify({ id: 'chatcmpl-1', object: 'chat.completion.chunk', created: 1, model: 'bench', choices: [], usage })}\n\ndata: [DONE]\n\n`,
];
const message = JSON.stringify({
  id: 'msg_1',
  type: 'message',
  role: 'assistant',
  model: 'claude',
  content: [{ type: 'text', text }],
  stop_reason: 'end_turn',
  stop_sequence: null,
  usage: { input_tokens: 120, output_tokens: 100 },
});
const event = (type: string, body: object) => `event: ${type}\ndata: ${JSON.stringify({ type, ...body })}\n\n`;
const events = [
  event('message_start', { message: { ...JSON.parse(message), content: [], stop_reason: null } }),
  event('content_block_start', { index: 0, content_block: { type: 'text', text: '' } }),
  ...Array.from({ length: 98 }, (_, n) =>
    event('content_block_delta', { index: 0, delta: { type: 'text_delta', text: ` word${n}` } }),
  ),
  event('content_block_stop', { index: 0 }),
  event('message_delta', { delta: { stop_reason: 'end_turn', stop_sequence: null }, usage: { output_tokens: 100 } }),
  event('message_stop', {}),
];

const server = createServer((request, response) => {
  let body = '';
  request.on('data', (part) => {
    body += part;
  });
  request.on('end', () => {
    const anthropic = request.url === '/v1/messages';
    if (!body.includes('"stream":true')) {
      response.writeHead(200, { 'content-type': 'application/json' }).end(anthropic ? message : plain);
      return;
    }
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    const all = anthropic ? events : chunks;
    const delay = Number(/"seed":(\d+)/.exec(body)?.[1] ?? 0);
    if (delay === 0) {
      // Each in a turn of its own, as tokens come: not one packet with all of them.
      let next = 0;
      const more = () => {
        const part = all[next++];
        if (part === undefined) response.end();
        else {
          response.write(part);
          setImmediate(more);
        }
      };
      more();
      return;
    }
    // One piece every `seed` milliseconds, each with the time at which it left.
    let next = 0;
    const timer = setInterval(() => {
      const part = all[next++];
      if (part === undefined) {
        clearInterval(timer);
        response.end();
      } else response.write(part.replace('"created":1', `"created":${Date.now()}`));
    }, delay);
    response.on('close', () => clearInterval(timer));
  });
});
server.keepAliveTimeout = 60_000;
server.listen(0, '127.0.0.1', () => process.send?.({ port: (server.address() as AddressInfo).port }));
