import type { JsonObject } from '../../core/json.ts';
import type { Caller } from '../../gateway/gateway.ts';
import { wireRequest } from '../../protocols/openai-responses.ts';
import { isSealedByProvider } from '../../responses/seal.ts';
import type { Turn } from '../../responses/turn.ts';
import type { Endpoint, Exchange } from '../define.ts';
import { credentialsOf, jsonBody, openStream, type StreamWriter, servedHeaders } from '../http.ts';
import { eventStream, formatEvent, keepAlive, keepAliveMs, streamEnd, streamTexts } from './response-stream.ts';

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
    if (turn.relay) return sendRelayed(exchange, turn);
    for await (const _events of turn.events());
    if (turn.failure) throw turn.failure;
    return reply.headers(turn.served ? servedHeaders(turn.served) : {}).send(turn.resource);
  },
};

/**
 * True when nothing of this request is ours to do or to know: nothing stored, nothing sealed here. Then a provider of this protocol may
 * get it as it is, and its answer goes back as it is.
 */
function mayRelay(body: JsonObject): boolean {
  const { store, previous_response_id, conversation, context_management, truncation, input } = body;
  return (
    store === false &&
    previous_response_id == null &&
    conversation == null &&
    context_management == null &&
    truncation !== 'auto' &&
    !(Array.isArray(input) && input.some(isOurs))
  );
}

function isOurs(item: unknown): boolean {
  if (typeof item !== 'object' || item === null) return false;
  const { type, encrypted_content: sealed } = item as JsonObject;
  return type === 'item_reference' || (typeof sealed === 'string' && !isSealedByProvider(sealed));
}

async function sendRelayed({ reply }: Exchange, turn: Turn) {
  if (!turn.relay || !turn.served) return;
  const chunks: Buffer[] = [];
  for await (const chunk of turn.relay.body) chunks.push(chunk);
  reply
    .status(turn.relay.status)
    .headers({ ...turn.relay.headers, ...servedHeaders(turn.served) })
    .send(Buffer.concat(chunks));
}

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
