/** Building what npm scripts run: only when a source is newer than what was built. */
import { spawnSync } from 'node:child_process';
import { existsSync, globSync, statSync } from 'node:fs';
import { join } from 'node:path';

const root = join(import.meta.dirname, '..');

/** Throws the bundler's first line when it fails. */
export function build() {
  const built = join(root, 'dist/main.js');
  const sources = globSync(['src/**/*.ts', 'package.json', 'rolldown.config.js', 'scripts/undici.mjs'], { cwd: root });
  const newest = Math.max(...sources.map((file) => statSync(join(root, file)).mtimeMs));
  if (existsSync(built) && statSync(built).mtimeMs > newest) return;
  console.error('Building …');
  const rolldown = join(root, 'node_modules/.bin/rolldown');
  const { status, stderr } = spawnSync(rolldown, ['-c', '--logLevel', 'warn'], { cwd: root, encoding: 'utf8' });
  if (status !== 0) throw new Error(`The build failed: ${stderr.split('\n')[0]}`);
}
