/** Pass-through to a provider's own API, watched: bytes untouched, model and usage read from both ends of the reply, one ledger entry. */
import { ViaductError } from '../core/errors.ts';
import type { NativeReply, NativeRequest, NativeSocket } from '../core/provider.ts';
import type { Usage } from '../core/usage.ts';
import type { Attempt, Measured } from './attempt.ts';
import { addUsage } from './call.ts';
import { measureNative } from './native-usage.ts';
import { createModelReader } from './socket-model.ts';
import { createSocketMeter } from './socket-usage.ts';

/** Where replies and streams of every provider have their token counts. */
const tailLimit = 64 * 1024;
/** Where Anthropic's streams have those of the prompt. */
const headLimit = 8 * 1024;

/** Ends `attempt` when the reply to `request` is over; its body is changed in place, to be read through us. */
export function watchNative(reply: NativeReply, attempt: Attempt, { method, path }: NativeRequest): void {
  const source = reply.body[Symbol.asyncIterator]();
  let head: Buffer | undefined;
  let tail: Buffer[] = [];
  let size = 0;
  let measured: Measured | undefined;
  attempt.opened();
  const measure = (): Measured => {
    // What is only looked up again was billed when it was made.
    if (method !== 'POST') return { usage: { input: 0, output: 0 }, estimated: false };
    const text = Buffer.concat(head ? [head, newLine, ...tail] : tail).toString('latin1');
    return measureNative(path, text);
  };
  attempt.answering(() => measured ?? measure());
  const refused =
    reply.status >= 500
      ? new ViaductError('provider_unavailable', `It answered with status ${reply.status}.`)
      : undefined;

  const iterator: AsyncIterator<Buffer> = {
    async next() {
      try {
        const next = await source.next();
        if (next.done) {
          measured = measure();
          tail = [];
          await attempt.end(refused);
          return next;
        }
        attempt.touch();
        tail.push(next.value);
        size += next.value.length;
        while (tail[0] && size - tail[0].length >= tailLimit) {
          head ??= tail[0].subarray(0, headLimit);
          size -= tail.shift()?.length ?? 0;
        }
        return next;
      } catch (thrown) {
        const { aborted, reason } = attempt.cancel;
        const error =
          aborted || thrown instanceof ViaductError
            ? ViaductError.from(aborted ? reason : thrown)
            : new ViaductError('provider_unavailable', 'The connection to the provider broke.', { cause: thrown });
        await attempt.end(error);
        throw error;
      }
    },
    async return() {
      attempt.end(new ViaductError('client_closed_request', 'The client left.'));
      await source.return?.();
      return { done: true, value: undefined };
    },
  };
  reply.body = { [Symbol.asyncIterator]: () => iterator };
}

const newLine = Buffer.from('\n');

/**
 * Answers of a WebSocket are billed one by one, each as it ends; what comes after the last one is with the end of the connection. `another`
 * begins what the next answer is billed to. It throws what keeps the caller from having one, and the connection ends with that.
 */
export function watchSocket(
  connection: NativeSocket,
  first: Attempt,
  { path }: NativeRequest,
  another: (begin: (attempt: Attempt) => void) => Promise<unknown>,
): void {
  const { socket } = connection;
  let model = new URLSearchParams(path.split('?')[1]).get('model') ?? undefined;
  let unbilled: Usage = { input: 0, output: 0 };
  /** Absent while one is settled and the next begins. */
  let current: Attempt | undefined;
  let refused: ViaductError | undefined;

  const begin = (attempt: Attempt) => {
    current = attempt;
    attempt.opened();
    attempt.answering(() => {
      const usage = unbilled;
      unbilled = { input: 0, output: 0 };
      return { usage, estimated: false, ...(model && { model }) };
    });
    attempt.cancel.onAbort(() => socket.destroy());
  };
  const settle = async () => {
    const ended = current;
    if (!ended) return;
    current = undefined;
    await ended.end();
    await another(begin);
    if (socket.destroyed) end();
    else if (unbilled.input + unbilled.output > 0) await settle();
  };
  /** Where a frame ends, so that the client can be told why in another. */
  const leave = () => {
    if (refused && meter.between()) socket.destroy(refused);
  };
  const meter = createSocketMeter((answer) => {
    addUsage(unbilled, answer.usage);
    model = answer.model ?? model;
    settle().catch((thrown: unknown) => {
      refused = ViaductError.from(thrown);
      leave();
    });
  });
  const end = () => {
    const rest = meter.rest();
    if (rest) addUsage(unbilled, rest);
    current?.end();
  };

  begin(first);
  if (model === undefined) {
    const read = createModelReader();
    connection.heard = (chunk) => {
      model ??= read(chunk);
    };
  }
  socket.on('data', (chunk: Buffer) => {
    current?.touch();
    meter.push(chunk);
    leave();
  });
  socket.on('close', end);
}
