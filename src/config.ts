/** Where settings come from. Nothing else reads the configuration file or, for settings, the environment. */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import type { Variables } from './config/environment.ts';
import { parseConfig } from './config/parse.ts';
import type { Config } from './config/schema.ts';
import { homeOf } from './lib/home.ts';

export { parseDuration } from './config/durations.ts';
export { type Imported, importLiteLlm } from './config/litellm.ts';
export type { ModelSettings } from './config/models.ts';
export { ConfigError, parseConfig } from './config/parse.ts';
export { reloaded } from './config/reload.ts';
export { type Config, jsonSchema } from './config/schema.ts';
export { watchFiles } from './config/watch.ts';

export type Settings = {
  config: Config;
  /** The file it was read from; undefined when there is none: everything by default. */
  file: string | undefined;
  /** Folder of models, database and engine. */
  home: string;
  /** VIADUCT_ADMIN_KEY. */
  adminKey: string | undefined;
};

/**
 * Where a configuration may lie, the place that counts most first: VIADUCT_CONFIG alone, else ./viaduct.yaml and
 * viaduct.yaml in VIADUCT_HOME.
 */
export function configPlaces(env: Variables = process.env, folder = process.cwd()): string[] {
  const named = env['VIADUCT_CONFIG'];
  return named ? [resolve(folder, named)] : [join(folder, 'viaduct.yaml'), join(homeOf(env), 'viaduct.yaml')];
}

/** The one that is read; undefined when there is none. A file that VIADUCT_CONFIG names is read whether it is there or not. */
export function configFile(env: Variables = process.env, folder = process.cwd()): string | undefined {
  const places = configPlaces(env, folder);
  return env['VIADUCT_CONFIG'] ? places[0] : places.find((file) => existsSync(file));
}

/** Throws ConfigError, with every problem of the file, or when the file that VIADUCT_CONFIG names cannot be read. */
export function loadSettings(env: Variables = process.env, folder = process.cwd()): Settings {
  const file = configFile(env, folder);
  return {
    config: parseConfig(
      file === undefined ? '' : readFileSync(file, 'utf8'),
      file ?? join(folder, 'viaduct.yaml'),
      env,
    ),
    file,
    home: homeOf(env),
    adminKey: env['VIADUCT_ADMIN_KEY'] || undefined,
  };
}

/** Paths in the configuration are relative to its file. */
export const relativeTo = (file: string | undefined, path: string): string =>
  resolve(file === undefined ? process.cwd() : dirname(file), path);
