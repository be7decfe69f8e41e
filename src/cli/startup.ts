/**
 * Imported first by main.ts, before anything else is loaded.
 *
 * Says so when Node is too old, before anything newer is asked of it.
 *
 * Compiled code is kept in the system's cache folder, so that only the first start compiles.
 *
 * A server lives for months beside the models' memory, so `serve` begins again as lean.ts says.
 */
import module from 'node:module';
import { becomeLean } from './lean.ts';

const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
if (major < 22 || (major === 22 && minor < 14)) {
  process.stderr.write(
    `Error: viaduct needs Node 22.14 or newer, this is ${process.versions.node}. In a clone of it, npm run viaduct -- COMMAND uses its own Node.\n`,
  );
  process.exit(1);
}

module.enableCompileCache();

const command = process.argv[2];
if (command === 'serve' || command === 'start') becomeLean();
