/** Files that may change while the server runs: the configuration, certificates. */
import { readFileSync, watch } from 'node:fs';
import { dirname } from 'node:path';

/** Editors write in several steps, and a certificate comes with its key. */
const settleMs = 100;

/**
 * Calls `reload` when the content of any of `files` has changed, and on SIGHUP in any case. Folders are watched, not files: editors and
 * Kubernetes replace them. `reload` throws when the new content is bad; `failed` is told. Returns what ends the watching.
 */
export function watchFiles(
  files: readonly string[],
  reload: () => void | Promise<void>,
  failed: (error: unknown) => void,
): () => void {
  const contentOf = () => {
    try {
      return files.map((file) => readFileSync(file, 'utf8')).join('\0');
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
  const watchers = [...new Set(files.map((file) => dirname(file)))].map((folder) =>
    watch(folder, { persistent: false }, () => {
      clearTimeout(timer);
      timer = setTimeout(look, settleMs);
    }).on('error', failed),
  );
  const onHangUp = () => {
    content = contentOf();
    void run();
  };
  process.on('SIGHUP', onHangUp);
  return () => {
    clearTimeout(timer);
    for (const watcher of watchers) watcher.close();
    process.off('SIGHUP', onHangUp);
  };
}
