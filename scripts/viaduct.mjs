/** npm run viaduct -- COMMAND: the command line of this clone, built when need be, in the folder where npm was called. */
import { build } from './build.mjs';

try {
  build();
} catch (error) {
  console.error(`viaduct: ${error.message}`);
  process.exit(1);
}
process.chdir(process.env.INIT_CWD ?? process.cwd());
process.argv[1] = new URL('../dist/main.js', import.meta.url).pathname;
await import('../dist/main.js');
