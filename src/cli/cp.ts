/** viaduct cp — give a model a second name. */
import type { Command } from './define.ts';

export const cp: Command = {
  usage: 'cp <source> <destination>',
  summary: 'Give a model a second name',
  async run([source, destination], _options, io) {
    const client = await io.connect();
    await client.json('POST', '/api/copy', { source, destination });
    io.note(`Copied ${source} to ${destination}`);
  },
};
