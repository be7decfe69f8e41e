/**
 * node scripts/bootstrap.mjs SCRIPT [ARGUMENTS]
 *
 * npm scripts start here: with any Node ≥ 18 and without node_modules. Installs what package-lock.json says when it is
 * not there yet, then runs SCRIPT under the clone's own Node (the dependency `node`), so that every machine runs the same
 * one. No dependencies, nothing newer than Node 18.
 */
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const modules = join(root, 'node_modules');
const stamp = join(modules, '.viaduct-lock-hash');
const ownNode = join(modules, '.bin', process.platform === 'win32' ? 'node.cmd' : 'node');

/** End with one line that says what to do. */
function fail(message) {
  process.stderr.write(`viaduct: ${message}\n`);
  process.exit(1);
}

function lockHash() {
  return createHash('sha256')
    .update(readFileSync(join(root, 'package-lock.json')))
    .digest('hex');
}

function installDependencies() {
  const hash = lockHash();
  if (existsSync(stamp) && existsSync(ownNode) && readFileSync(stamp, 'utf8') === hash) return;
  process.stdout.write('Installing npm dependencies …\n');
  const { status, error, stderr, stdout } = spawnSync('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error'], {
    cwd: root,
    encoding: 'utf8',
    shell: process.platform === 'win32',
  });
  if (error) fail(`npm could not be started (${error.message}). Install npm, then run this again.`);
  if (status !== 0) fail(reasonOf(`${stderr}${stdout}`));
  if (!existsSync(ownNode))
    fail(
      'npm ci did not bring the package "node". Allow its install script (npm approve-scripts node), then run this again.',
    );
  writeFileSync(stamp, hash);
}

/** What npm said, as one line that helps. */
function reasonOf(output) {
  if (/ENOSPC/.test(output))
    return 'The disk is full: npm could not install the dependencies. Free about 1 GB, then run this again.';
  if (/ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ETIMEDOUT|ECONNRESET|ERR_SOCKET_TIMEOUT|ENETUNREACH|network/i.test(output))
    return 'npm cannot reach its registry. Check the network or `npm config get registry`, then run this again.';
  if (/EACCES|EPERM/.test(output))
    return `npm may not write to ${modules}. Make the folder yours, then run this again.`;
  const line = output.split('\n').find((text) => /npm (error|ERR!)/.test(text)) ?? output.trim().split('\n')[0];
  return `npm ci failed: ${line}`;
}

function main() {
  const [major] = process.versions.node.split('.').map(Number);
  if (major < 18) fail(`Node ${process.versions.node} is too old. Install Node 18 or newer, then run this again.`);
  installDependencies();
  const child = spawn(ownNode, ['--disable-warning=ExperimentalWarning', ...process.argv.slice(2)], {
    cwd: root,
    stdio: 'inherit',
    shell: process.platform === 'win32',
  });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
  child.on('exit', (code, signal) => {
    process.exitCode = code ?? (signal ? 1 : 0);
  });
}

main();
