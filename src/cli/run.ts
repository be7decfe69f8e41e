/** viaduct run — ask a model once, or talk with it. */
import type { Command, Options } from './define.ts';
import { converse } from './run/converse.ts';
import { pullIfMissing, type Session, turn } from './run/session.ts';

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

async function readAll(): Promise<string> {
  let text = '';
  for await (const chunk of process.stdin) text += chunk;
  return text.trim();
}
