/** viaduct run — ask a model once, or talk with it. */
import { existsSync, readFileSync } from 'node:fs';
import { createInterface, type Interface } from 'node:readline/promises';
import { ViaductError } from '../core/errors.ts';
import type { Client } from './client.ts';
import type { Command, Io, Options } from './define.ts';

type Message = { role: string; content: string; thinking?: string; images?: string[] };

/** What a session has set, sent with every turn. */
type Session = {
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

export const run: Command = {
  usage: 'run <name> [prompt...]',
  summary: 'Ask a model, or talk with it when no prompt is given',
  options: [
    ['--format <format>', 'json, or a JSON Schema'],
    ['--keepalive <duration>', 'how long the model stays loaded: 5m, 1h, -1 for ever'],
    ['--system <text>', 'instructions for the model'],
    ['--think', 'let a thinking model think'],
    ['--no-think', 'keep a thinking model from thinking'],
    ['--verbose', 'print counts and speed after each answer'],
  ],
  async run([name = '', ...words], options, io) {
    const client = await io.connect();
    await pullIfMissing(name, client, io);
    const session = newSession(name, options);
    const piped = process.stdin.isTTY ? '' : await readAll();
    const prompt = [words.join(' '), piped].filter(Boolean).join('\n\n');
    if (prompt) await turn(prompt, session, client, io);
    else if (process.stdin.isTTY) await converse(session, client, io);
  },
};

function newSession(model: string, { format, keepalive, system, think, verbose }: Options): Session {
  return {
    model,
    messages: [],
    system: typeof system === 'string' ? system : undefined,
    options: {},
    think: typeof think === 'boolean' ? think : undefined,
    format: typeof format === 'string' && format !== 'json' ? JSON.parse(format) : format,
    keepAlive: typeof keepalive === 'string' ? keepalive : undefined,
    verbose: verbose === true,
  };
}

async function pullIfMissing(model: string, client: Client, io: Io) {
  const { models } = await client.json<{ models: { name: string }[] }>('GET', '/api/tags');
  const wanted = model.includes(':') || model.includes('@') ? model : `${model}:latest`;
  if (models.some(({ name }) => name === wanted)) return;
  // A route of the configuration or a provider's model needs no weights here.
  const { data } = await client.json<{ data: { id: string }[] }>('GET', '/v1/models');
  if (data.some(({ id }) => id === model) || model.includes('/')) return;
  io.note(`Pulling ${model} …`);
  for await (const { status } of client.lines<{ status: string }>('/api/pull', { model }))
    if (status === 'success') io.note('Pulled.');
}

async function readAll(): Promise<string> {
  let text = '';
  for await (const chunk of process.stdin) text += chunk;
  return text.trim();
}

/** One question and its answer, written as it comes. Pictures are named by their path in the question. */
async function turn(prompt: string, session: Session, client: Client, io: Io, signal?: AbortSignal) {
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

const help = `  /set system TEXT       instructions for the model
  /set parameter N V     temperature, num_ctx, seed, top_p, stop …
  /set think | nothink   let the model think, or not
  /set format json | noformat
  /set verbose | quiet   print speed after each answer
  /show                  the model and what is set
  /load NAME             go on with another model
  /clear                 forget the conversation
  /bye                   leave (or Ctrl-D); Ctrl-C stops an answer
  """                    begins and ends a message of several lines
  a picture's path in the message sends the picture`;

async function converse(session: Session, client: Client, io: Io) {
  const lines = createInterface({ input: process.stdin, output: process.stdout, historySize: 500 });
  let answering: AbortController | undefined;
  lines.on('SIGINT', () => {
    if (answering) answering.abort();
    else io.note('\nLeave with /bye or Ctrl-D.');
  });
  io.note('Write a message, /? for help.');
  try {
    for (;;) {
      const input = (await readMessage(lines))?.trim();
      if (input === undefined || input === '/bye' || input === '/exit') return;
      if (input === '') continue;
      if (input.startsWith('/') && !existsSync(input.split(' ')[0] ?? '')) {
        await obey(input, session, client, io);
        continue;
      }
      answering = new AbortController();
      try {
        await turn(input, session, client, io, answering.signal);
      } catch (error) {
        if (!answering.signal.aborted) io.note(ViaductError.from(error).message);
      }
      answering = undefined;
    }
  } finally {
    lines.close();
  }
}

/** One message; undefined at the end of input. */
async function readMessage(lines: Interface): Promise<string | undefined> {
  const ask = async (prompt: string) => {
    const ended = new AbortController();
    const onClose = () => ended.abort();
    lines.once('close', onClose);
    try {
      return await lines.question(prompt, { signal: ended.signal });
    } catch {
      return undefined;
    } finally {
      lines.off('close', onClose);
    }
  };
  const first = await ask('>>> ');
  if (!first?.startsWith('"""')) return first;
  let text = first.slice(3);
  while (!text.trimEnd().endsWith('"""')) {
    const next = await ask('... ');
    if (next === undefined) return undefined;
    text += `\n${next}`;
  }
  return text.trimEnd().slice(0, -3);
}

async function obey(input: string, session: Session, client: Client, io: Io) {
  const [command, subject, ...rest] = input.split(/\s+/);
  switch (command) {
    case '/?':
    case '/help':
      return io.out(help);
    case '/clear':
      session.messages = [];
      return io.note('Forgotten.');
    case '/load':
      await pullIfMissing(subject ?? '', client, io);
      session.model = subject ?? session.model;
      return;
    case '/show': {
      const { model, system, options, think } = session;
      return io.out(JSON.stringify({ model, system, options, think, messages: session.messages.length }, null, 2));
    }
    case '/set':
      return set(subject, rest, session, io);
    default:
      io.note(`There is no command ${command}; /? lists them.`);
  }
}

function set(subject: string | undefined, words: string[], session: Session, io: Io) {
  switch (subject) {
    case 'system':
      session.system = words.join(' ').replaceAll(/^"+|"+$/g, '');
      return;
    case 'parameter': {
      const [name, ...value] = words;
      if (!name || value.length === 0) return io.note('/set parameter NAME VALUE');
      const text = value.join(' ');
      session.options[name] = Number.isNaN(Number(text)) ? text : Number(text);
      return;
    }
    case 'think':
    case 'nothink':
      session.think = subject === 'think';
      return;
    case 'format':
    case 'noformat':
      session.format = subject === 'format' ? 'json' : undefined;
      return;
    case 'verbose':
    case 'quiet':
      session.verbose = subject === 'verbose';
      return;
    default:
      io.note('/set takes system, parameter, think, nothink, format, noformat, verbose or quiet.');
  }
}
