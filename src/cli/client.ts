/** How commands talk to a server: JSON and NDJSON over HTTP, failures as one line. */
import { openAsBlob } from 'node:fs';
import { ViaductError } from '../core/errors.ts';
import type { JsonObject } from '../core/json.ts';

export type Client = {
  /** `http://127.0.0.1:11434`, without a slash at the end. */
  url: string;
  /** Body of the reply as JSON. Throws what the server said went wrong. */
  json<Reply = JsonObject>(method: string, path: string, body?: object): Promise<Reply>;
  /** Body of the reply as it is. */
  text(method: string, path: string): Promise<string>;
  /** One object per line of the reply, as they come. A line with `error` is thrown. */
  lines<Line = JsonObject>(path: string, body: object, signal?: AbortSignal): AsyncGenerator<Line>;
  /** Send a file of this machine as the body of a POST. */
  upload(path: string, file: string): Promise<void>;
  /** Is there something at this path? */
  exists(path: string): Promise<boolean>;
  close(): Promise<void>;
};

/** Sent as bearer tokens: `admin` to /admin, `key` to everything else. */
export type Login = { key?: string | undefined; admin?: string | undefined };

export function createClient(
  url: string,
  { key, admin }: Login = {},
  close: () => Promise<void> = async () => {},
): Client {
  const bearer = (secret: string | undefined) => (secret ? { authorization: `Bearer ${secret}` } : {});
  const login = bearer(key);
  const send = async (method: string, path: string, body?: object, signal?: AbortSignal) => {
    const response = await fetch(url + path, {
      method,
      headers: {
        ...(body && { 'content-type': 'application/json' }),
        ...(path.startsWith('/admin/') ? bearer(admin) : login),
      },
      ...(body && { body: JSON.stringify(body) }),
      ...(signal && { signal }),
    });
    if (!response.ok) throw await failureOf(response);
    return response;
  };
  return {
    url,
    close,
    async upload(path, file) {
      const response = await fetch(url + path, { method: 'POST', headers: login, body: await openAsBlob(file) });
      if (!response.ok) throw await failureOf(response);
    },
    async exists(path) {
      return (await fetch(url + path, { method: 'HEAD', headers: login })).ok;
    },
    text: async (method, path) => (await send(method, path)).text(),
    async json<Reply>(method: string, path: string, body?: object) {
      const text = await (await send(method, path, body)).text();
      return (text ? JSON.parse(text) : {}) as Reply;
    },
    async *lines<Line>(path: string, body: object, signal?: AbortSignal) {
      const response = await send('POST', path, body, signal);
      let rest = '';
      for await (const text of response.body?.pipeThrough(new TextDecoderStream()) ?? []) {
        const lines = (rest + text).split('\n');
        rest = lines.pop() ?? '';
        for (const line of lines) if (line) yield lineOf<Line>(line);
      }
      if (rest.trim()) yield lineOf<Line>(rest);
    },
  };
}

function lineOf<Line>(text: string): Line {
  const line = JSON.parse(text) as { error?: unknown };
  if (line.error) throw new ViaductError('invalid_request', messageOf(line.error));
  return line as Line;
}

async function failureOf(response: Response): Promise<ViaductError> {
  const text = await response.text();
  try {
    const { error } = JSON.parse(text) as { error?: unknown };
    if (error) return new ViaductError('invalid_request', messageOf(error));
  } catch {
    // Not our JSON: the status says what there is to say.
  }
  return new ViaductError('invalid_request', `The server answered ${response.status} ${response.statusText}.`);
}

/** Ollama's doors say `error: "…"`, the others `error: { message }`. */
const messageOf = (error: unknown) =>
  typeof error === 'object' && error !== null && 'message' in error ? String(error.message) : String(error);
