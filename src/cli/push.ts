/** viaduct push — send a model to a registry. */
import type { Command } from './define.ts';
import { showProgress } from './progress.ts';

export const push: Command = {
  usage: 'push <name>',
  summary: 'Push a model to the registry that its name says: HOST/NAMESPACE/NAME:TAG',
  options: [['--insecure', 'allow plain http to any host']],
  async run([model = ''], { insecure }, io) {
    const client = await io.connect();
    await showProgress(client, io, '/api/push', { model, insecure: insecure === true });
    io.note(`Pushed ${model}`);
  },
};
