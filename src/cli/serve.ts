/** viaduct serve — answer until told to stop. */
import type { Command } from './define.ts';
import { settle } from './lean.ts';

export const serve: Command = {
  usage: 'serve',
  aliases: ['start'],
  summary: 'Serve local models and configured providers',
  options: [['--config <file>', 'instead of VIADUCT_CONFIG']],
  async run(_args, { config }, io) {
    // Only here, so that the other commands start without reading the whole server.
    const { startServer } = await import('../server.ts');
    const server = await startServer({ ...(typeof config === 'string' && { configFile: config }) });
    io.out(`Viaduct is listening on ${server.url}`);
    await settle();
    const stop = await stopSignal();
    io.note(`${stop}: finishing what is running; once more stops at once.`);
    void stopSignal().then(() => process.exit(1));
    await server.close();
  },
};

const stopSignal = () =>
  new Promise<string>((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => resolve(signal));
  });
