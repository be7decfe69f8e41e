/**
 * One file from a server that may do anything: several connections, each going on from its last good byte for as long as
 * there is progress; verified before it gets its final name; shared by everybody who wants the same file.
 */
import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ViaductError } from '../core/errors.ts';
import { diskError, needFreeSpace } from './disk.ts';
import { withFileLock } from './file-lock.ts';
import type { Digest } from './manifest.ts';
import { openPartial, type Partial, partialCompleted, type Segment, unknownSize } from './partial.ts';
import { createSharedWork } from './shared-work.ts';
import { busyWait, header, isStall, type Reply, type TransferSettings, transferError } from './transfer.ts';

/** Half-open: `end` is exclusive. */
export type ByteRange = { start: number; end: number };

export type Download = {
  /** Where the unfinished file lies; its name is what callers share by. */
  partialPath: string;
  /** What the file must hash to; undefined when nobody knows before. */
  digest: Digest | undefined;
  /** Bytes; undefined when nobody knows before. */
  size: number | undefined;
  /** For messages: `layer 3f1a… of localhost:5000`. */
  label: string;
  /** Ask the server, from the very start of its redirects; undefined asks for everything, without a Range header. */
  open(range: ByteRange | undefined, signal: AbortSignal): Promise<Reply>;
  /** True when another process has finished the file. */
  isDone(): Promise<boolean>;
  /** Take over the whole, verified file. */
  finish(partial: { digest: Digest; size: number; moveTo: (path: string) => Promise<void> }): Promise<void>;
  settings: TransferSettings;
};

export type DownloadProgress = { completed: number; total: number; verifying: boolean };

const share = createSharedWork<DownloadProgress>();

/**
 * Throws registry_unavailable, registry_invalid_response, digest_mismatch, disk_full, rate_limit_exceeded, or the signal's
 * reason. What arrived before a failure is kept for the next try, unless it was wrong.
 */
export function download(
  file: Download,
  options: { signal: AbortSignal; onProgress: (progress: DownloadProgress) => void },
): Promise<void> {
  return share(
    file.partialPath,
    async (signal, report) => {
      await mkdir(dirname(file.partialPath), { recursive: true }).catch((cause) => {
        throw diskError(cause, file.partialPath);
      });
      await withFileLock(`${file.partialPath}.lock`, signal, {
        work: async () => {
          if (!(await file.isDone())) await fetchAndVerify(file, signal, report);
        },
        // Another process is at it: pass its progress on.
        waiting: async () => {
          report({ completed: await partialCompleted(file.partialPath), total: file.size ?? 0, verifying: false });
          return file.isDone();
        },
      });
    },
    options,
  );
}

async function fetchAndVerify(
  file: Download,
  signal: AbortSignal,
  report: (progress: DownloadProgress) => void,
): Promise<void> {
  const { partial, first } = await begin(file, signal);
  let keep = true;
  try {
    const tell = (verifying: boolean) => report({ completed: partial.completed(), total: partial.size, verifying });
    tell(false);
    await fetchSegments(file, partial, first, signal, () => tell(false));
    tell(true);
    const digest = await partial.digest(signal);
    if (file.digest !== undefined && digest !== file.digest)
      throw new ViaductError(
        'digest_mismatch',
        `The bytes of ${file.label} are not what was promised: expected ${file.digest}, got ${digest}. Nothing was kept; try again.`,
      );
    await file.finish({ digest, size: partial.size, moveTo: (path) => partial.finish(path) });
  } catch (thrown) {
    const error = signal.aborted ? undefined : ViaductError.from(thrown);
    // Wrong bytes are worth nothing, and a full disk is relieved of them.
    keep = !error || !['digest_mismatch', 'disk_full', 'registry_invalid_response'].includes(error.code);
    throw thrown;
  } finally {
    await (keep ? partial.close() : partial.discard());
  }
}

/** The partial file to fill. Where size and digest are unknown the server is asked, and its answer is not wasted. */
async function begin(file: Download, signal: AbortSignal): Promise<{ partial: Partial; first?: Reply }> {
  const { partialPath, size, digest } = file;
  if (size !== undefined) return { partial: await openPartial(partialPath, size, digest ?? '') };
  const first = await withTries(file.settings, signal, async () => {
    const reply = await file.open(undefined, signal);
    if (reply.status === 200) return reply;
    throw await refusal(file, reply, 0);
  });
  const length = header(first.headers, 'content-length');
  const declared = length === undefined ? unknownSize : Number(length);
  if (declared !== unknownSize)
    await needFreeSpace(dirname(partialPath), declared - (await partialCompleted(partialPath)));
  const validator = header(first.headers, 'etag') ?? header(first.headers, 'last-modified') ?? '';
  const partial = await openPartial(partialPath, declared, digest ?? validator);
  if (declared === unknownSize) await partial.restart();
  if (partial.completed() === 0 && partial.segments.length === 1) return { partial, first };
  first.body.destroy();
  return { partial };
}

/** The server does not keep to ranges; `reply` is its answer with everything, when that is what it sent. */
class RangesIgnored extends Error {
  readonly reply: Reply | undefined;
  constructor(reply?: Reply) {
    super('The server does not keep to ranges.');
    this.reply = reply;
  }
}

async function fetchSegments(
  file: Download,
  partial: Partial,
  first: Reply | undefined,
  signal: AbortSignal,
  tell: () => void,
): Promise<void> {
  const [lead, ...others] = partial.segments.filter(({ start, end, done }) => done < end - start);
  if (!lead) return;
  const group = new AbortController();
  const within = AbortSignal.any([signal, group.signal]);
  const running: Promise<void>[] = [];
  const run = (segment: Segment, reply: Reply | undefined, onRanges: () => void) => {
    const promise = fetchSegment(file, partial, segment, {
      signal: within,
      first: reply,
      tell,
      plain: false,
      onRanges,
    });
    running.push(promise);
    promise.catch((reason) => {
      // The answer that a server gives in place of a range is gone on with, when it came first.
      if (!(reason instanceof RangesIgnored && running.length === 1)) group.abort(reason);
    });
  };
  // The first connection shows whether ranges work; only then the others begin.
  run(lead, first, () => {
    for (const segment of others.splice(0)) run(segment, undefined, () => {});
  });
  let failure: unknown;
  for (let index = 0; index < running.length; index += 1) await running[index]?.catch((reason) => (failure ??= reason));
  if (failure === undefined) return;
  signal.throwIfAborted();
  const reason = group.signal.reason ?? failure;
  if (!(reason instanceof RangesIgnored)) throw reason;
  const whole = await partial.restart();
  const reply = group.signal.aborted ? undefined : reason.reply;
  await fetchSegment(file, partial, whole, { signal, first: reply, tell, plain: true, onRanges: () => {} });
}

type SegmentOptions = {
  signal: AbortSignal;
  /** An answer that has begun already. */
  first: Reply | undefined;
  tell: () => void;
  /** Never ask for a range: what is there already is read again and skipped. */
  plain: boolean;
  /** The server keeps to ranges. */
  onRanges: () => void;
};

async function fetchSegment(file: Download, partial: Partial, segment: Segment, options: SegmentOptions) {
  const { signal, tell, onRanges } = options;
  let { first } = options;
  let plain = options.plain || partial.size === unknownSize;
  const isWhole = segment.start === 0 && segment.end === partial.size;
  const attemptOnce = async (attempt: number) => {
    const at = segment.start + segment.done;
    const range = plain || (isWhole && at === 0) ? undefined : { start: at, end: segment.end };
    const reply = first ?? (await file.open(range, signal));
    first = undefined;
    const skip = judge(file, partial, segment, reply, range);
    if (skip === undefined) {
      const wasPlain = plain;
      plain ||= reply.status === 206 || reply.status === 416;
      throw await useless(file, reply, { attempt, isWhole, wasPlain });
    }
    if (reply.status === 206) onRanges();
    await consume(file, partial, segment, reply, skip, tell);
    if (partial.size === unknownSize) partial.endHere();
    if (segment.done < segment.end - segment.start)
      throw new ViaductError(
        'registry_unavailable',
        `${reply.host} sent ${segment.start + segment.done} of ${partial.size} bytes of ${file.label} and no more. Try again to go on from there.`,
      );
  };
  await withTries(file.settings, signal, attemptOnce, () => segment.done);
}

/** What to throw for an answer that does not bring the bytes asked for. */
async function useless(
  file: Download,
  reply: Reply,
  { attempt, isWhole, wasPlain }: { attempt: number; isWhole: boolean; wasPlain: boolean },
): Promise<Error> {
  if (reply.status === 200) return new RangesIgnored(reply);
  reply.body.destroy();
  if (reply.status !== 206 && reply.status !== 416) return refusal(file, reply, attempt);
  if (!isWhole) return new RangesIgnored();
  const why = `${reply.host} answers with other bytes than asked for`;
  return wasPlain ? invalid(file, why) : new ViaductError('registry_unavailable', `${file.label}: ${why}.`);
}

/** How many bytes of this answer come before what is wanted; undefined when it is no use. */
function judge(
  file: Download,
  partial: Partial,
  segment: Segment,
  reply: Reply,
  range: ByteRange | undefined,
): number | undefined {
  if (reply.status === 200) return segment.start === 0 && segment.end === partial.size ? segment.done : undefined;
  if (reply.status !== 206) return undefined;
  const [, start, total] = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(header(reply.headers, 'content-range') ?? '') ?? [];
  if (range === undefined || Number(start) !== range.start) return undefined;
  if (total !== '*' && Number(total) !== partial.size) {
    reply.body.destroy();
    throw invalid(file, `it should have ${partial.size} bytes, and ${reply.host} has ${total}`);
  }
  return 0;
}

async function consume(
  file: Download,
  partial: Partial,
  segment: Segment,
  reply: Reply,
  skipped: number,
  tell: () => void,
): Promise<void> {
  const length = segment.end - segment.start;
  let skip = skipped;
  try {
    for await (const received of reply.body) {
      const chunk = received.subarray(Math.min(skip, received.length));
      skip -= received.length - chunk.length;
      const room = length - segment.done;
      if (chunk.length > room && reply.status === 200)
        throw invalid(file, `it should have ${partial.size} bytes, and ${reply.host} sends more`);
      if (chunk.length > 0) await partial.append(segment, chunk.subarray(0, room));
      tell();
      if (segment.done === length && reply.status !== 200) return;
    }
  } catch (cause) {
    // A server may declare more than it has: what counts is whether all is here.
    if (cause instanceof ViaductError || segment.done < length) throw transferError(cause, reply.host);
  } finally {
    reply.body.destroy();
  }
}

/** Repeat until it works. Only tries in a row that bring nothing new are counted. */
async function withTries<T>(
  settings: TransferSettings,
  signal: AbortSignal,
  attemptOnce: (attempt: number) => Promise<T>,
  progress: () => number = () => 0,
): Promise<T> {
  for (let fruitless = 0; ; ) {
    const before = progress();
    try {
      return await attemptOnce(fruitless);
    } catch (thrown) {
      signal.throwIfAborted();
      if (thrown instanceof RangesIgnored) throw thrown;
      const error = transferError(thrown, 'the server');
      // A stall has cost a long time already: it counts for more.
      fruitless = progress() > before ? 0 : fruitless + (isStall(error) ? 2 : 1);
      if (!isPassing(error, settings) || fruitless >= settings.tries) throw error;
      await sleep(waitBefore(error, fruitless, settings), undefined, { signal });
    }
  }
}

function waitBefore({ retryAfter }: ViaductError, fruitless: number, { backoff }: TransferSettings): number {
  if (retryAfter !== undefined) return retryAfter * 1000;
  return fruitless === 0 ? backoff / 10 : backoff * 2 ** (fruitless - 1);
}

/** Worth another try: the network, a busy server, a redirect that ran out. */
const isPassing = ({ code, retryAfter }: ViaductError, { longestWait }: TransferSettings) =>
  code === 'registry_unavailable' ||
  (code === 'rate_limit_exceeded' && retryAfter !== undefined && retryAfter * 1000 <= longestWait);

/** A status that is no answer → what to throw. Told again to wait, the time to wait comes with it. */
async function refusal(file: Download, reply: Reply, attempt: number): Promise<ViaductError> {
  reply.body.destroy();
  const message = `${reply.host} refuses ${file.label} with status ${reply.status}.`;
  if (reply.status === 429)
    return new ViaductError('rate_limit_exceeded', message, {
      retryAfter: busyWait(reply, attempt, file.settings) / 1000,
    });
  if (reply.status >= 500 || reply.redirected) return new ViaductError('registry_unavailable', message);
  if (reply.status === 401 || reply.status === 403)
    return new ViaductError('permission_denied', `${message} It may need a login.`);
  if (reply.status === 404) return new ViaductError('not_found', `${reply.host} does not have ${file.label}.`);
  return new ViaductError('registry_invalid_response', message);
}

const invalid = (file: Download, why: string) =>
  new ViaductError('registry_invalid_response', `${file.label} is not as promised: ${why}.`);
