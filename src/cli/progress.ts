/** Progress of pulls, pushes and creations: bars for a person, lines for a log. */
import { MultiBar, type SingleBar } from 'cli-progress';
import { formatBytes } from '../models/disk.ts';
import type { PullProgress } from '../models/pull.ts';
import type { Client } from './client.ts';
import type { Io } from './define.ts';

/** A line of a log says how far it is at most this often, ms. */
const logPause = 5000;

/** POST `body` to `path` and show its progress until it is done. Throws what the server says went wrong. */
export async function showProgress(client: Client, io: Io, path: string, body: object): Promise<void> {
  const view = io.interactive ? bars(io) : log(io);
  try {
    for await (const progress of client.lines<PullProgress>(path, { ...body, stream: true })) view.show(progress);
  } finally {
    view.end();
  }
}

type View = { show(progress: PullProgress): void; end(): void };

function bars(io: Io): View {
  const shown = new Map<string, SingleBar>();
  const format = '{status} {bar} {percentage}% {size} {eta_formatted}';
  const multi = new MultiBar({
    format,
    hideCursor: true,
    barsize: 30,
    barCompleteChar: '█',
    barIncompleteChar: '░',
    autopadding: true,
    stream: process.stderr,
  });
  return {
    show({ status, digest, total, completed = 0 }) {
      if (!total) {
        if (status === 'success') return;
        multi.log(`${status}\n`);
        return;
      }
      const key = digest ?? status;
      const size = `${formatBytes(completed)} of ${formatBytes(total)}`;
      const bar = shown.get(key) ?? multi.create(total, 0, { status, size });
      shown.set(key, bar);
      bar.update(completed, { status, size });
    },
    end() {
      multi.stop();
      io.note('');
    },
  };
}

function log(io: Io): View {
  let last = '';
  let at = 0;
  return {
    show({ status, total, completed = 0 }) {
      const whole = completed === total;
      if (status === last && !whole && Date.now() - at < logPause) return;
      if (status === last && !total) return;
      last = status;
      at = Date.now();
      const share = total ? ` ${Math.floor((completed / total) * 100)}% of ${formatBytes(total)}` : '';
      io.note(`${status}${share}`);
    },
    end() {},
  };
}
