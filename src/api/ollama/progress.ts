import { ViaductError } from '../../core/errors.ts';
import type { PullProgress } from '../../models/pull.ts';
import type { Exchange } from '../define.ts';
import { openStream } from '../http.ts';

/** Shortest time between two lines that say the same of another number of bytes, ms. */
const pause = 100;

/**
 * Answer with the progress of some work, one JSON object a line as Ollama does; or, without `stream`, with its last word.
 * A failure while streaming is a line `{"error": …}`.
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
  const writer = openStream(reply, 'application/x-ndjson');
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
      writer.write(line(progress));
    });
    writer.end();
  } catch (thrown) {
    writer.end(line({ error: ViaductError.from(thrown).message }));
  }
}
