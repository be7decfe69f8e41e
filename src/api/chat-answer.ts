/** Answering a chat, whatever the dialect: relayed bytes untouched, or events through the dialect's encoder. */
import type { OutgoingHttpHeaders } from 'node:http';
import { buffer } from 'node:stream/consumers';
import type { FastifyReply } from 'fastify';
import type { ChatEvent, ChatResult } from '../core/chat.ts';
import { collect } from '../core/collect.ts';
import { ViaductError } from '../core/errors.ts';
import type { JsonObject } from '../core/json.ts';
import type { RelayReply } from '../core/provider.ts';
import type { ChatAnswer, ChatCall, Served } from '../gateway/gateway.ts';
import type { Exchange } from './define.ts';
import { servedHeaders } from './http.ts';
import { openStream, type StreamWriter } from './stream-writer.ts';

export type StreamDialect = {
  contentType: string;
  /** Says nothing, so that nobody on the way gives up while a model loads or thinks. Absent: the dialect has no such thing. */
  keepAlive?: string;
  createEncoder(served: Served): { push(event: ChatEvent): string; end(): string };
  /** What ends a stream that has failed. */
  encodeError(error: ViaductError): string;
};

const keepAliveMs = 10_000;

/**
 * Run the call and stream its answer. A failure before the answer began is thrown, for the door to send with a status; one
 * that comes later ends the stream in the dialect's words.
 */
export async function streamChat({ reply, caller }: Exchange, call: ChatCall, dialect: StreamDialect): Promise<void> {
  const { contentType, keepAlive } = dialect;
  let writer: StreamWriter | undefined;
  let quiet = true;
  const timer =
    keepAlive === undefined
      ? undefined
      : setInterval(() => {
          if (!quiet) {
            quiet = true;
            return;
          }
          writer ??= openStream(reply, contentType);
          writer.write(keepAlive);
        }, keepAliveMs);

  try {
    const answer = await caller.chat(call);
    writer ??= openStream(reply, answerType(answer, contentType), servedHeaders(answer));
    if ('relay' in answer) {
      // Between relayed bytes nothing of ours may come.
      clearInterval(timer);
      for await (const chunk of answer.relay.body) {
        const slow = writer.write(chunk);
        if (slow) await slow;
      }
      writer.end();
      return;
    }
    const encoder = dialect.createEncoder(answer);
    for await (const batch of answer.events) {
      let text = '';
      for (const event of batch) text += encoder.push(event);
      if (text === '') continue;
      quiet = false;
      // Nearly always there is nothing to wait for.
      const slow = writer.write(text);
      if (slow) await slow;
    }
    writer.end(encoder.end());
  } catch (thrown) {
    if (!writer) throw thrown;
    writer.end(dialect.encodeError(ViaductError.from(thrown)));
  } finally {
    clearInterval(timer);
  }
}

const answerType = (answer: ChatAnswer, fallback: string) =>
  ('relay' in answer && answer.relay.headers['content-type']) || fallback;

/** Run the call and send its whole answer. */
export async function sendChat(
  { reply, caller }: Exchange,
  call: ChatCall,
  encode: (result: ChatResult, served: Served) => JsonObject,
): Promise<void> {
  const answer = await caller.chat(call);
  if ('relay' in answer) return sendRelay(reply, answer.relay, answer);
  const body = encode(await collect(answer.events), answer);
  reply.headers(servedHeaders(answer)).send(body);
}

const oneCallBytes = 64 * 1024;

/** A provider's reply as it came, when it is whole. Straight to the socket: what Fastify does for an answer costs as much as the gateway does. */
export async function sendRelay(reply: FastifyReply, relay: RelayReply, served: Served) {
  const body = Array.isArray(relay.body) ? relay.body[0] : await buffer(relay.body);
  reply.hijack();
  const headers = Object.assign(servedHeaders(served), reply.getHeaders(), relay.headers, {
    'content-length': body.length,
  });
  reply.raw.writeHead(relay.status, headers as OutgoingHttpHeaders);
  // As text with one character a byte it goes out together with the headers, in one system call.
  if (body.length < oneCallBytes) reply.raw.end(body.toString('latin1'), 'latin1');
  else reply.raw.end(body);
}
