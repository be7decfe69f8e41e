/** Hot reload: a changed file, or SIGHUP, is read again; a bad one is reported and what runs stays. */
import { readFileSync, watch } from 'node:fs';
import { dirname } from 'node:path';

/** Editors write in several steps. */
const settleMs = 100;

/**
 * Calls `reload` when the content of `file` has changed, and on SIGHUP in any case. Folders are watched, not files: editors and Kubernetes
 * replace them. `reload` throws when the new content is bad; `failed` is told. Returns what ends the watching.
 */
export function watchConfig(
  file: string,
  reload: () => void | Promise<void>,
  failed: (error: unknown) => void,
): () => void {
  const contentOf = () => {
    try {
      return readFileSync(file, 'utf8');
    } catch {
      return undefined; // between two steps of an editor
    }
  };
  let content = contentOf();
  let timer: NodeJS.Timeout | undefined;

  const run = async () => {
    try {
      await reload();
    } catch (error) {
      failed(error);
    }
  };
  const look = () => {
    const now = contentOf();
    if (now === undefined || now === content) return;
    content = now;
    void run();
  };
  const watcher = watch(dirname(file), { persistent: false }, () => {
    clearTimeout(timer);
    timer = setTimeout(look, settleMs);
  });
  watcher.on('error', failed);
  const onHangUp = () => {
    content = contentOf();
    void run();
  };
  process.on('SIGHUP', onHangUp);
  return () => {
    clearTimeout(timer);
    watcher.close();
    process.off('SIGHUP', onHangUp);
  };
}
