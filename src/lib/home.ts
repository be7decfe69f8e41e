import { homedir } from 'node:os';
import { join, resolve } from 'node:path';

/** The folder of models, database, engine and configuration: VIADUCT_HOME, or `~/.viaduct`. */
export const homeOf = (env: Record<string, string | undefined> = process.env): string =>
  resolve(env['VIADUCT_HOME'] || join(env['HOME'] || homedir(), '.viaduct'));
