import { statfs } from 'node:fs/promises';
import { dirname } from 'node:path';
import { ViaductError } from '../core/errors.ts';

/** What writing `path` failed with, for the client to read. */
export function diskError(cause: unknown, path: string): ViaductError {
  if (cause instanceof ViaductError) return cause;
  const code = (cause as NodeJS.ErrnoException)?.code ?? '';
  if (['ENOSPC', 'EDQUOT', 'EFBIG'].includes(code))
    return new ViaductError('disk_full', `The disk of ${dirname(path)} is full. Free some space and try again.`, {
      cause,
    });
  if (['EACCES', 'EPERM', 'EROFS'].includes(code))
    return new ViaductError('permission_denied', `The folder ${dirname(path)} cannot be written to.`, { cause });
  return new ViaductError('internal_error', `Writing ${path} failed (${code || String(cause)}).`, { cause });
}

/** Throws disk_full, with both figures, when the disk of `folder` has less than `bytes` free. */
export async function needFreeSpace(folder: string, bytes: number): Promise<void> {
  const { bavail, bsize } = await statfs(folder);
  const free = bavail * bsize;
  if (bytes <= free) return;
  throw new ViaductError(
    'disk_full',
    `This needs ${formatBytes(bytes)} more on the disk of ${folder}, which has ${formatBytes(free)} free. Free some space and try again.`,
  );
}

/** `98.4 MB`: powers of ten, as disks and Ollama count. */
export function formatBytes(bytes: number): string {
  const units = ['B', 'KB', 'MB', 'GB', 'TB', 'PB', 'EB'];
  const power = Math.min(Math.max(0, Math.floor(Math.log10(Math.max(bytes, 1)) / 3)), units.length - 1);
  const value = bytes / 1000 ** power;
  return `${power === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[power]}`;
}
