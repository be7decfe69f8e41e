import { ViaductError } from '../../core/errors.ts';
import type { PullProgress } from '../../models/pull.ts';
import type { Exchange } from '../define.ts';
import { openStream } from '../stream-writer.ts';

/** Shortest time between two lines that say the same of another number of bytes, ms. */
const pause = 100;

/**
 * Answer with the progress of some work, one JSON object a line as Ollama does; or, without `stream`, with its last word.
 * A failure before there is any progress is a status, later a line `{"error": …}`: as Ollama has it.
 */
export async function answerProgress(
  { reply, services }: Exchange,
  stream: boolean,
  work: (onProgress: (progress: PullProgress) => void) => Promise<unknown>,
): Promise<void> {
  if (!stream) {
    await work(() => {});
    reply.send({ status: 'success' });
    return;
  }
  let writer: ReturnType<typeof openStream> | undefined;
  const open = () => {
    writer ??= openStream(reply, 'application/x-ndjson');
    return writer;
  };
  const line = (value: object) => `${JSON.stringify(value)}\n`;
  let before = '';
  let at = 0;
  try {
    await work((progress) => {
      const { status, total, completed } = progress;
      const now = services.now();
      if (status === before && completed !== total && now - at < pause) return;
      before = status;
      at = now;
      open().write(line(progress));
    });
    open().end();
  } catch (thrown) {
    if (!writer) throw thrown;
    writer.end(line({ error: ViaductError.from(thrown).message }));
  }
}
