/** What a provider's WebSocket used, read off the frames that it sends. Source: RFC 6455, 5.2 */
import type { Usage } from '../core/usage.ts';
import type { Measured } from './attempt.ts';
import { measureNative } from './native-usage.ts';

/** Events that end an answer and hold its usage: OpenAI's Realtime and Responses APIs. */
const endsAnswer = /"type"\s*:\s*"response\.(?:done|completed|incomplete)"/;
/** Gemini Live's counts of a turn, which may grow from message to message; they stand beside the content, at the end or alone. */
const countsTurn = /"usageMetadata"\s*:\s*\{/;
const endsTurn = /"turnComplete"\s*:\s*true/;
/** A message beyond it is no event with a count. */
const longestMessage = 2 ** 20;
const [continuation, text, binary, firstControl] = [0, 1, 2, 8];
const brace = 123;

export type SocketMeter = {
  push(chunk: Buffer): void;
  /** What was used and not told by `answered`: counts of a turn that has not ended. Taken once. */
  rest(): Usage | undefined;
  /** Whether the bytes so far end where a frame ends. */
  between(): boolean;
};

/**
 * `answered` hears of every answer as it ends. Expects no compression: the extension is not offered to providers. Frames of a server are
 * never masked.
 */
export function createSocketMeter(answered: (answer: Measured) => void): SocketMeter {
  /** Of Gemini's turn. */
  let turn: Measured | undefined;
  let pending: Buffer = Buffer.alloc(0);
  /** Bytes of a frame's content that are still to come, and whether they are worth reading. */
  let left = 0;
  let reading = false;
  /** Pings and the like may stand between the frames of a message. */
  let control = false;
  let last = true;
  let message: Buffer[] = [];
  let size = 0;

  const endTurn = () => {
    const ended = turn;
    turn = undefined;
    if (ended) answered(ended);
  };
  const end = () => {
    const whole = Buffer.concat(message).toString('latin1');
    message = [];
    size = 0;
    if (endsAnswer.test(whole)) answered(measureNative('', whole));
    else if (countsTurn.test(whole)) {
      turn = measureNative('', whole.slice(whole.lastIndexOf('"usageMetadata"')));
      if (endsTurn.test(whole)) endTurn();
    } else if (whole !== '') endTurn();
  };
  const take = (bytes: Buffer) => {
    // Gemini sends its JSON in binary frames; what else is in such frames is sound.
    if (size === 0 && bytes.length > 0 && bytes[0] !== brace) reading = false;
    size += bytes.length;
    if (reading && size <= longestMessage) message.push(bytes);
  };
  /** The next frame's header, when it is all there. */
  const open = (): boolean => {
    const [first = 0, second = 0] = pending;
    const short = second & 0x7f;
    const length = short < 126 ? 2 : short === 126 ? 4 : 10;
    if (pending.length < length) return false;
    left = short < 126 ? short : short === 126 ? pending.readUInt16BE(2) : Number(pending.readBigUInt64BE(2));
    const code = first & 0x0f;
    control = code >= firstControl;
    if (!control) {
      if (code !== continuation) reading = code === text || code === binary;
      last = (first & 0x80) !== 0;
    }
    pending = pending.subarray(length);
    return true;
  };

  return {
    push(chunk) {
      pending = pending.length === 0 ? chunk : Buffer.concat([pending, chunk]);
      while (left > 0 || pending.length >= 2) {
        if (left === 0 && !open()) return;
        const part = pending.subarray(0, left);
        if (!control) take(part);
        pending = pending.subarray(part.length);
        left -= part.length;
        if (left > 0) return;
        if (last && !control) end();
      }
    },
    rest() {
      const usage = turn?.usage;
      turn = undefined;
      return usage;
    },
    between: () => left === 0 && pending.length === 0,
  };
}
