/** viaduct config check | schema — is the configuration right, and what may be written in it. */
import { type Command, jsonOption } from './define.ts';

const check: Command = {
  usage: 'check [file]',
  summary: 'Check viaduct.yaml and say what is wrong with it, with line and key',
  options: [jsonOption],
  async run([file], { json }, io) {
    // Every provider comes with it: loaded only when asked for.
    const { ConfigError, configFile, loadSettings } = await import('../config.ts');
    const env = file === undefined ? process.env : { ...process.env, VIADUCT_CONFIG: file };
    const path = configFile(env);
    try {
      const { config } = loadSettings(env);
      const { providers, models } = config;
      if (json) io.out(JSON.stringify({ ok: true, file: path ?? null, problems: [] }));
      else if (path === undefined) io.out('There is no configuration file: everything is by default.');
      else
        io.out(`${path} is right: ${Object.keys(providers).length} providers, ${Object.keys(models).length} models.`);
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      if (json) io.out(JSON.stringify({ ok: false, file: path ?? null, problems: error.problems }));
      else for (const problem of error.problems) io.note(problem);
      throw new Error(
        `${error.problems.length} ${error.problems.length === 1 ? 'problem' : 'problems'} in the configuration.`,
      );
    }
  },
};

const schema: Command = {
  usage: 'schema',
  summary: 'Print the JSON Schema of viaduct.yaml, for editors',
  async run(_args, _options, io) {
    const { jsonSchema } = await import('../config.ts');
    io.out(JSON.stringify(jsonSchema(), null, 2));
  },
};

export const config: Command = {
  usage: 'config',
  summary: 'Check the configuration, or print its schema',
  subcommands: [check, schema],
};
