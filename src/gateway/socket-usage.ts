/** What a provider's WebSocket used, read off the frames that it sends. Source: RFC 6455, 5.2 */
import type { Usage } from '../core/usage.ts';
import { addUsage } from './call.ts';
import { measureNative } from './native-usage.ts';

/** Events that end an answer and hold its usage: OpenAI's Realtime and Responses APIs. */
const endsAnswer = /"type"\s*:\s*"response\.(?:done|completed|incomplete)"/;
/** A message beyond it is no event with a count. */
const longestMessage = 2 ** 20;
const [continuation, text] = [0, 1];

export type SocketMeter = {
  push(chunk: Buffer): void;
  /** Of all answers so far. */
  readonly usage: Usage;
};

/** Expects no compression: the extension is not offered to providers. Frames of a server are never masked. */
export function createSocketMeter(): SocketMeter {
  const usage: Usage = { input: 0, output: 0 };
  let pending: Buffer = Buffer.alloc(0);
  /** Bytes of a frame's content that are still to come, and whether they are worth reading. */
  let left = 0;
  let reading = false;
  let last = true;
  let message: Buffer[] = [];
  let size = 0;

  const end = () => {
    const whole = Buffer.concat(message).toString('latin1');
    message = [];
    size = 0;
    if (!endsAnswer.test(whole)) return;
    addUsage(usage, measureNative('', whole).usage);
  };
  const take = (bytes: Buffer) => {
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
    if (code === text) reading = true;
    else if (code !== continuation) reading = false;
    last = (first & 0x80) !== 0;
    pending = pending.subarray(length);
    return true;
  };

  return {
    usage,
    push(chunk) {
      pending = pending.length === 0 ? chunk : Buffer.concat([pending, chunk]);
      while (left > 0 || pending.length >= 2) {
        if (left === 0 && !open()) return;
        const part = pending.subarray(0, left);
        take(part);
        pending = pending.subarray(part.length);
        left -= part.length;
        if (left > 0) return;
        if (last) end();
      }
    },
  };
}
