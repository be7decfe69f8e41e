/** A conversation with one model, a turn at a time. */
import { existsSync, readFileSync } from 'node:fs';
import type { Client } from '../client.ts';
import type { Io } from '../define.ts';

type Message = { role: string; content: string; thinking?: string; images?: string[] };

/** What was said and set, sent with every turn. */
export type Session = {
  model: string;
  messages: Message[];
  system: string | undefined;
  options: Record<string, string | number>;
  think: boolean | undefined;
  format: unknown;
  keepAlive: string | undefined;
  verbose: boolean;
};

type Reply = {
  message?: Message;
  done?: boolean;
  total_duration?: number;
  prompt_eval_count?: number;
  eval_count?: number;
  eval_duration?: number;
};

/** Bring the model here, unless the server can answer by that name. Throws what the server says a hosted model lacks. */
export async function pullIfMissing(model: string, client: Client, io: Io): Promise<void> {
  const refusal = await client.json('GET', `/v1/models/${encodeURI(model)}`).then(
    () => undefined,
    (error: Error) => error,
  );
  if (!refusal) return;
  // The server names the command where weights are all that is missing: not for a hosted model, a wrong key.
  if (!refusal.message.includes('viaduct pull')) throw refusal;
  io.note(`Pulling ${model} …`);
  for await (const { status } of client.lines<{ status: string }>('/api/pull', { model }))
    if (status === 'success') io.note('Pulled.');
}

/** One question and its answer, written as it comes. Pictures are named by their path in the question. */
export async function turn(prompt: string, session: Session, client: Client, io: Io, signal?: AbortSignal) {
  const { text, images } = takeImages(prompt);
  session.messages.push({ role: 'user', content: text, ...(images.length > 0 && { images }) });
  const answer: Message = { role: 'assistant', content: '' };
  let thinking = false;
  let last: Reply = {};
  const { model, system, messages, options, think, format, keepAlive } = session;
  const body = {
    model,
    messages: system ? [{ role: 'system', content: system }, ...messages] : messages,
    options,
    ...(think !== undefined && { think }),
    ...(format !== undefined && { format }),
    ...(keepAlive !== undefined && { keep_alive: keepAlive }),
  };
  try {
    for await (const reply of client.lines<Reply>('/api/chat', body, signal)) {
      last = reply;
      if (reply.message?.thinking) {
        if (!thinking) io.write('Thinking…\n');
        thinking = true;
        io.write(reply.message.thinking);
      }
      if (!reply.message?.content) continue;
      if (thinking) io.write('\n…done thinking.\n\n');
      thinking = false;
      io.write(reply.message.content);
      answer.content += reply.message.content;
    }
  } finally {
    io.write('\n');
    session.messages.push(answer);
  }
  if (session.verbose) printSpeed(last, io);
}

function printSpeed({ total_duration = 0, prompt_eval_count = 0, eval_count = 0, eval_duration = 1 }: Reply, io: Io) {
  const rate = (eval_count / eval_duration) * 1e9;
  io.note(
    `${(total_duration / 1e9).toFixed(2)} s, ${prompt_eval_count} tokens in, ${eval_count} out, ${rate.toFixed(1)} tokens/s`,
  );
}

const imagePath = /(?:\.{0,2}\/|[A-Za-z]:\\)?[^\s'"]+\.(?:png|jpe?g|webp|gif)\b/gi;

function takeImages(prompt: string): { text: string; images: string[] } {
  const paths = (prompt.match(imagePath) ?? []).filter((path) => existsSync(path));
  const text = paths.reduce((rest, path) => rest.replace(path, ''), prompt).trim();
  return { text: text || 'Describe the picture.', images: paths.map((path) => readFileSync(path).toString('base64')) };
}
