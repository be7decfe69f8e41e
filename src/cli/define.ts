import type { Client } from './client.ts';

/** What a command may touch. Made once, in commands.ts; tests make their own. */
export type Io = {
  /** One line of the answer, to standard output. */
  out(line: string): void;
  /** Text without a line's end, for answers that grow. */
  write(text: string): void;
  /** One line about the work, to standard error. */
  note(line: string): void;
  /** True when a person watches: bars and questions are welcome. */
  interactive: boolean;
  /** The running server, or one that this command starts for itself. Closed when the command ends. */
  connect(): Promise<Client>;
};

/** Values as commander parsed them, by camelCase name: `--max-size 3` → `maxSize: "3"`. */
export type Options = Record<string, string | string[] | boolean | undefined>;

/** One command = one file and a line in commands.ts. A throw ends it with one line on standard error and exit code 1. */
export type Command = {
  /** As commander reads it: `pull <name>`, `run <name> [prompt...]`. */
  usage: string;
  aliases?: string[];
  summary: string;
  /** Flags as commander reads them (`-f, --file <path>`) and what they do. */
  options?: [flags: string, description: string][];
  /** Commands below this one: `keys create`. Such a command has no `run`. */
  subcommands?: Command[];
  run?(args: string[], options: Options, io: Io): Promise<void>;
};

/** Every command that prints data takes it. */
export const jsonOption: [flags: string, description: string] = ['--json', 'print JSON'];
