/** Commands → a program. */
import { Command as Program } from 'commander';
import { ViaductError } from '../core/errors.ts';
import type { Client } from './client.ts';
import type { Command, Io, Options } from './define.ts';

export type ProgramOptions = {
  version: string;
  commands: Command[];
  /** Called at most once. */
  connect: () => Promise<Client>;
};

/** Run the command that `args` (without node and script) name → exit code. */
export async function runProgram(args: string[], { version, commands, connect }: ProgramOptions): Promise<number> {
  let client: Promise<Client> | undefined;
  const io: Io = {
    out: (line) => process.stdout.write(`${line}\n`),
    write: (text) => process.stdout.write(text),
    note: (line) => process.stderr.write(`${line}\n`),
    interactive: process.stderr.isTTY === true,
    connect: () => (client ??= connect()),
  };
  // `viaduct list | head -1`: the reader has what it wants.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(0);
    throw error;
  });
  const program = new Program('viaduct')
    .description('One OpenAI-compatible base URL: local models and every hosted provider behind one gateway')
    .version(version)
    .showHelpAfterError('(viaduct --help shows what there is)');
  for (const command of commands) add(program, command, io);
  if (args.length === 0) {
    io.write(program.helpInformation());
    return 0;
  }
  try {
    await program.parseAsync(args, { from: 'user' });
    return 0;
  } catch (thrown) {
    io.note(`Error: ${lineOf(thrown)}`);
    return 1;
  } finally {
    await (await client?.catch(() => undefined))?.close();
  }
}

function add(parent: Program, { usage, aliases = [], summary, options = [], subcommands = [], run }: Command, io: Io) {
  const program = parent.command(usage).description(summary).aliases(aliases);
  for (const [flags, description] of options) program.option(flags, description);
  for (const subcommand of subcommands) add(program, subcommand, io);
  if (run)
    program.action(async (...given: unknown[]) => {
      const values = given.slice(0, -2) as (string | string[] | undefined)[];
      const args = values.flat().filter((value) => value !== undefined);
      await run(args, program.opts<Options>(), io);
    });
}

/** One clear line, whatever was thrown. */
function lineOf(thrown: unknown): string {
  if (thrown instanceof ViaductError) return thrown.message;
  const { message, cause } = thrown as Error & { cause?: Error };
  return [message, cause?.message].filter(Boolean).join(': ');
}
