/** viaduct stop — unload a model now, once its requests are done. */
import type { Command } from './define.ts';

export const stop: Command = {
  usage: 'stop <name>',
  summary: 'Unload a model',
  async run([name = ''], _options, io) {
    const client = await io.connect();
    await client.json('POST', '/api/generate', { model: name, keep_alive: 0, stream: false });
    io.out(`Stopped ${name}.`);
  },
};
