/** viaduct rm — remove models. */
import type { Command } from './define.ts';

export const rm: Command = {
  usage: 'rm <names...>',
  summary: 'Remove models',
  async run(names, _options, io) {
    const client = await io.connect();
    for (const model of names) {
      await client.json('DELETE', '/api/delete', { model });
      io.note(`Removed ${model}`);
    }
  },
};
