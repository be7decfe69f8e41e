/** One engine process with one model loaded, and how to talk to it. */
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { ViaductError } from '../core/errors.ts';
import type { JsonObject } from '../core/json.ts';
import { Canceller, cancelOf } from '../lib/cancel.ts';
import { createHttpClient, type HttpClient } from '../lib/http-client.ts';
import { spawnGuarded } from './guard.ts';

/** What the engine answered. `body` must be read to its end, left early, or the signal aborted: it holds a connection. */
export type RunnerReply = { status: number; body: AsyncIterable<Buffer> };

/** A loaded model. All calls carry the runner's key; all failures are ViaductErrors. */
export type Runner = {
  /** Loopback address of the engine, for logs and tests. */
  readonly url: string;
  /**
   * POST `body` as JSON to the engine, GET when there is none. Any HTTP status is a reply; judge it with `readJson`.
   * Aborting `signal` closes the connection, which frees the engine's slot; the call then throws the signal's reason.
   * The engine sees a closed connection only when it writes: ask for `stream: true`, and for chats `return_progress: true`
   * (events during the prompt, with `prompt_progress` and no delta), or it works on, for seconds when other slots are busy.
   * Throws runner_crashed when the process ends first, also while the body is read.
   */
  request(path: string, body: JsonObject | undefined, signal?: AbortSignal): Promise<RunnerReply>;
};

/** A runner and its life. */
export type RunnerProcess = Runner & {
  /** What the engine says of layers on a GPU: 0 … 1. */
  readonly gpuShare: number;
  /** Settles when the process has ended, for whatever reason. */
  readonly ended: Promise<void>;
  /** End it now. Settles when it has ended. */
  kill(): Promise<void>;
};

export type StartOptions = {
  /** The engine's command line, flags included. */
  command: readonly string[];
  env?: NodeJS.ProcessEnv;
  /** For messages: the model's name and its file. */
  model: string;
  file: string;
  /** Ends the load. */
  signal?: AbortSignal;
  /** Every line that the engine logs. */
  onLine?: (line: string) => void;
};

/**
 * Threads of the engine (OpenMP's, in GNU builds) wait for each other by spinning, for so long that on a machine with
 * other work the speed falls to a tenth (measured on two cores: 3 tokens/s instead of 28). So they soon sleep instead.
 */
const patientThreads = { GOMP_SPINCOUNT: '1000' };

/** The environment without what the engine has no need to know: the keys of providers, passwords. */
const harmless = (env: NodeJS.ProcessEnv) =>
  Object.fromEntries(
    Object.entries(env).filter(([name]) => !/key|token|secret|password|credential|database|redis/i.test(name)),
  );

/** Lines of the engine's log that are kept to explain a failure. */
const keptLines = 60;
const listening = /listening on (http:\/\/[^\s/]+)/;
const memoryTrouble = /failed to allocate|unable to allocate|out of memory|bad_alloc|ErrorOutOfDeviceMemory/i;

/**
 * Start the engine and wait until the model is loaded.
 * Throws engine_unavailable (cannot be started), model_load_failed (names the file) or out_of_memory.
 */
export async function startRunner(options: StartOptions): Promise<RunnerProcess> {
  const key = randomBytes(24).toString('base64url');
  const child = spawnGuarded(options.command, {
    ...patientThreads,
    ...harmless(process.env),
    ...options.env,
    LLAMA_API_KEY: key,
  });
  const lines: string[] = [];
  let alive = true;
  const ended = new Promise<void>((resolve) => {
    const end = () => {
      alive = false;
      child.stdin?.destroy();
      resolve();
    };
    child.on('exit', end);
    child.on('error', (error) => {
      lines.push(error.message);
      end();
    });
  });
  child.stdin?.on('error', () => {});
  const kill = () => {
    child.stdin?.destroy();
    return ended;
  };

  let gpuShare = 0;
  const url = new Promise<string>((resolve) => {
    const onLine = (line: string) => {
      lines.push(line);
      if (lines.length > keptLines) lines.shift();
      options.onLine?.(line);
      const found = listening.exec(line)?.[1];
      if (found) resolve(found);
      const [, some, all] = /offloaded (\d+)\/(\d+) layers to GPU/.exec(line) ?? [];
      if (all) gpuShare = Number(some) / Number(all);
    };
    for (const stream of [child.stdout, child.stderr]) if (stream) readLines(stream, onLine);
  });

  const abandon = () => void kill();
  options.signal?.addEventListener('abort', abandon, { once: true });
  let client: HttpClient | undefined;
  try {
    const origin = await Promise.race([url, ended]);
    if (origin) {
      client = createHttpClient(origin);
      await untilHealthy(client, key, () => alive);
    }
    if (!alive || !client || !origin) {
      options.signal?.throwIfAborted();
      // The last lines of a process that has ended may still be on their way.
      await Promise.race([new Promise((resolve) => child.on('close', resolve)), sleep(500)]);
      throw loadFailure(options, lines, child.exitCode);
    }
    const runner = connect(client, key, origin, ended, () => alive);
    return {
      ...runner,
      get gpuShare() {
        return gpuShare;
      },
      ended,
      kill,
    };
  } catch (error) {
    void kill();
    void client?.close();
    throw error;
  } finally {
    options.signal?.removeEventListener('abort', abandon);
  }
}

function readLines(stream: NodeJS.ReadableStream, onLine: (line: string) => void) {
  let rest = '';
  stream.setEncoding('utf8').on('data', (chunk: string) => {
    const parts = (rest + chunk).split('\n');
    rest = (parts.pop() ?? '').slice(-8192);
    for (const line of parts) if (line.trim()) onLine(line.trimEnd());
  });
  stream.on('end', () => rest && onLine(rest));
}

/** An engine that listens before it has loaded answers 503 until then. */
async function untilHealthy(client: HttpClient, key: string, isAlive: () => boolean) {
  const request = { path: '/health', method: 'GET', headers: bearer(key), cancel: new Canceller() };
  while (isAlive()) {
    try {
      const { status, body } = await client.send(request);
      await body.whole(healthLimit);
      if (status === 200) return;
    } catch {
      // It ends, or does not accept yet: the loop's condition tells which.
    }
    await sleep(50);
  }
}

const healthLimit = 64 * 1024;

const bearer = (key: string) => ({ authorization: `Bearer ${key}` });

function connect(client: HttpClient, key: string, url: string, ended: Promise<void>, isAlive: () => boolean): Runner {
  const headers = { ...bearer(key), 'content-type': 'application/json' };
  void ended.then(() => client.close());

  /** What a broken connection means: the caller's own wish, or a crash. */
  const explain = (error: unknown, signal?: AbortSignal) => {
    if (signal?.aborted) return signal.reason;
    if (error instanceof ViaductError) return error;
    return new ViaductError(
      'runner_crashed',
      'The engine that ran this model ended. Ask again: it will be started anew.',
      { cause: error },
    );
  };

  return {
    url,
    async request(path, asked, signal) {
      const request = {
        path,
        method: asked ? 'POST' : 'GET',
        headers,
        cancel: signal ? cancelOf(signal) : new Canceller(),
        // The engine promises to keep the connection of a stream, and closes it.
        closes: asked?.['stream'] === true,
        ...(asked && { body: JSON.stringify(asked) }),
      };
      const sent = await client.send(request).catch(async (error: unknown) => {
        if (signal?.aborted || !isAlive()) throw explain(error, signal);
        // The engine may close an idle connection just as we use it; a dead process shows itself at once.
        await Promise.race([ended, sleep(100)]);
        if (!isAlive()) throw explain(error, signal);
        return client.send(request).catch((again: unknown) => {
          throw explain(again, signal);
        });
      });
      const body = sent.body.failingWith(async (error) => {
        // Let the end be known before the caller is told, so that its next request meets a new runner.
        if (!signal?.aborted) await Promise.race([ended, sleep(500)]);
        return explain(error, signal);
      });
      return { status: sent.status, body };
    },
  };
}

function loadFailure({ model, file, command }: StartOptions, lines: string[], exitCode: number | null): ViaductError {
  if (exitCode === 127 || exitCode === 126 || exitCode === null)
    return new ViaductError(
      'engine_unavailable',
      `The engine cannot be started (${command[0]}): ${lines.at(-1) ?? ''}`,
    );
  const log = lines.join('\n');
  // 137: killed, as the kernel does with the process that takes the last memory.
  if (exitCode === 137 || memoryTrouble.test(log))
    return new ViaductError(
      'out_of_memory',
      `There is not enough memory to load ${model}. Ask for a smaller num_ctx, stop other models (viaduct stop NAME), or use a smaller model.`,
      { cause: new Error(log) },
    );
  const why = lines.map(plainError).filter(Boolean);
  return new ViaductError(
    'model_load_failed',
    `${model} cannot be loaded from ${file}: ${why[0] ?? lines.at(-1) ?? `the engine ended with code ${exitCode}`}`,
    { cause: new Error(log) },
  );
}

/** The text of a line that the engine logs as an error, without its time and place. */
function plainError(line: string): string | undefined {
  const text =
    /^(?:[\d.]+ )?E\s+(?:\S+\s+)?(.*)$/.exec(line)?.[1] ??
    /^(?:error|llama_model_load: error)[^:]*: (.*)$/i.exec(line)?.[1];
  return text?.replace(/^\w+: /, '').slice(0, 300);
}
