import type { JsonObject } from '../../core/json.ts';
import type { Caller } from '../../gateway/gateway.ts';
import { wireRequest } from '../../protocols/openai-responses.ts';
import { standsAlone } from '../../responses/native.ts';
import type { Turn } from '../../responses/turn.ts';
import { sendRelay } from '../chat-answer.ts';
import type { Endpoint, Exchange } from '../define.ts';
import { credentialsOf, jsonBody, servedHeaders } from '../http.ts';
import { eventStream, keepAlive, keepAliveMs, openStream, type StreamWriter } from '../stream-writer.ts';
import { formatEvent, streamEnd, streamTexts } from './response-stream.ts';

/** POST /v1/responses — https://platform.openai.com/docs/api-reference/responses/create */
export const responses: Endpoint = {
  method: 'POST',
  path: '/v1/responses',
  body: wireRequest,
  async handle(exchange) {
    const { request, reply, caller, services } = exchange;
    const body = jsonBody(request);
    if (body['background'] === true) return startBackground(exchange, body);
    const turn = await services.responses.prepare(body, caller, mayRelay(body) ? { relay: body } : {});
    if (body['stream'] === true) return stream(exchange, turn);
    await turn.begin();
    if (turn.relay && turn.served) return sendRelay(reply, turn.relay, turn.served);
    for await (const _events of turn.events());
    if (turn.failure) throw turn.failure;
    return reply.headers(turn.served ? servedHeaders(turn.served) : {}).send(turn.resource);
  },
};

/** True when nothing of this request is ours to do or to know: the answer of a provider of this protocol goes back as it is. */
const mayRelay = (body: JsonObject) => body['store'] === false && body['truncation'] !== 'auto' && standsAlone(body);

/** A failure before the answer begins is thrown, for the door to send with a status; later ones are events. */
async function stream({ reply }: Exchange, turn: Turn): Promise<void> {
  let writer: StreamWriter | undefined;
  let quiet = true;
  // A model that loads for long: the stream opens without it, so that nobody on the way gives up.
  const timer = setInterval(() => {
    if (quiet) {
      writer ??= openStream(reply, eventStream);
      writer.write(keepAlive);
    }
    quiet = true;
  }, keepAliveMs);
  try {
    await turn.begin().catch((error) => {
      if (!writer) throw error;
    });
    writer ??= openStream(
      reply,
      turn.relay?.headers['content-type'] ?? eventStream,
      turn.served && servedHeaders(turn.served),
    );
    if (turn.relay) {
      clearInterval(timer);
      for await (const chunk of turn.relay.body) await writer.write(chunk);
      writer.end();
      return;
    }
    for await (const events of turn.events()) {
      quiet = false;
      await writer.write(events.map(formatEvent).join(''));
    }
    writer.end(streamEnd);
  } finally {
    clearInterval(timer);
  }
}

async function startBackground({ request, reply, caller, services }: Exchange, body: JsonObject) {
  const { responses: running } = services;
  const credentials = { ...credentialsOf(request, reply), requestId: caller.requestId };
  const enter = (signal: AbortSignal): Promise<Caller> => services.gateway.enter({ ...credentials, signal });
  const queued = await running.startBackground(body, enter);
  if (body['stream'] !== true) return reply.send(queued);
  return streamTexts(reply, running.follow(caller.owner, queued.id, -1, caller.signal));
}
