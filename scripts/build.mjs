/** Building what npm scripts run: only when a source is newer than what was built. */
import { spawnSync } from 'node:child_process';
import { existsSync, globSync, statSync } from 'node:fs';
import { join } from 'node:path';

const root = join(import.meta.dirname, '..');

/** Throws the compiler's first line when it fails. */
export function build() {
  const built = join(root, 'dist/main.js');
  const sources = globSync(['src/**/*.ts', 'package.json', 'tsconfig*.json'], { cwd: root });
  const newest = Math.max(...sources.map((file) => statSync(join(root, file)).mtimeMs));
  if (existsSync(built) && statSync(built).mtimeMs > newest) return;
  console.error('Building …');
  const tsc = join(root, 'node_modules/.bin/tsc');
  const { status, stdout } = spawnSync(tsc, ['-p', 'tsconfig.build.json'], { cwd: root, encoding: 'utf8' });
  if (status !== 0) throw new Error(`The build failed: ${stdout.split('\n')[0]}`);
}
