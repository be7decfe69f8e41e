/** Files that may change while the server runs: the configuration, certificates. */
import { existsSync, readFileSync, watch } from 'node:fs';
import { dirname } from 'node:path';

/** Editors write in several steps, and a certificate comes with its key. */
const settleMs = 100;

/**
 * Calls `reload` when the content of any of `files` has changed or one of them has appeared, and on SIGHUP in any case.
 * Folders are watched, not files: editors and Kubernetes replace them. One that goes changes nothing: an editor may be
 * about to write it anew. `reload` throws when the new content is bad; `failed` is told. Returns what ends the
 * watching.
 */
export function watchFiles(
  files: readonly string[],
  reload: () => void | Promise<void>,
  failed: (error: unknown) => void,
): () => void {
  const contentOf = (file: string) => {
    try {
      return readFileSync(file, 'utf8');
    } catch {
      return undefined;
    }
  };
  let contents = files.map(contentOf);
  let timer: NodeJS.Timeout | undefined;

  const run = async () => {
    try {
      await reload();
    } catch (error) {
      failed(error);
    }
  };
  const look = () => {
    const now = files.map(contentOf);
    const isGone = now.some((content, at) => content === undefined && contents[at] !== undefined);
    if (isGone || now.every((content, at) => content === contents[at])) return;
    contents = now;
    void run();
  };
  const folders = new Set(files.map((file) => dirname(file)).filter((folder) => existsSync(folder)));
  const watchers = [...folders].map((folder) =>
    watch(folder, { persistent: false }, () => {
      clearTimeout(timer);
      timer = setTimeout(look, settleMs);
    }).on('error', failed),
  );
  const onHangUp = () => {
    contents = files.map(contentOf);
    void run();
  };
  process.on('SIGHUP', onHangUp);
  return () => {
    clearTimeout(timer);
    for (const watcher of watchers) watcher.close();
    process.off('SIGHUP', onHangUp);
  };
}
