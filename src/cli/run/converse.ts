/** The conversation at a terminal: lines in, commands that begin with a slash. */
import { existsSync } from 'node:fs';
import { createInterface, type Interface } from 'node:readline/promises';
import { ViaductError } from '../../core/errors.ts';
import type { Client } from '../client.ts';
import type { Io } from '../define.ts';
import { pullIfMissing, type Session, turn } from './session.ts';

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

/** Until `/bye` or the end of input. */
export async function converse(session: Session, client: Client, io: Io) {
  const lines = createInterface({ input: process.stdin, output: process.stdout, historySize: 500 });
  let answering: AbortController | undefined;
  lines.on('SIGINT', () => {
    if (answering) answering.abort();
    else io.note('\nLeave with /bye or Ctrl-D.');
  });
  const ask = asker(lines);
  io.note('Write a message, /? for help.');
  try {
    for (;;) {
      const input = (await readMessage(ask))?.trim();
      if (input === undefined || input === '/bye' || input === '/exit') return;
      if (input === '') continue;
      try {
        if (input.startsWith('/') && !existsSync(input.split(' ')[0] ?? '')) await obey(input, session, client, io);
        else {
          answering = new AbortController();
          await turn(input, session, client, io, answering.signal);
        }
      } catch (error) {
        if (!answering?.signal.aborted) io.note(ViaductError.from(error).message);
      }
      answering = undefined;
    }
  } finally {
    lines.close();
  }
}

/** One message; undefined at the end of input. */
async function readMessage(ask: Ask): Promise<string | undefined> {
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

type Ask = (prompt: string) => Promise<string | undefined>;

/** The next line; those that came while nobody asked, pasted or typed ahead, wait. */
function asker(lines: Interface): Ask {
  const typed = lines[Symbol.asyncIterator]();
  return async (prompt) => {
    lines.setPrompt(prompt);
    lines.prompt();
    const { value, done } = await typed.next();
    return done ? undefined : value;
  };
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
      if (!subject) return io.note('/load NAME');
      await pullIfMissing(subject, client, io);
      session.model = subject;
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
