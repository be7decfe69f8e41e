/**
 * npm test [PATTERN…]: lint, types, then every test file whose path contains one of the patterns.
 * Ends with one plain line: N passed, N failed.
 */
import { spawnSync } from 'node:child_process';
import { globSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

/** Debian packages of the real servers that tests start, by the command that shows they are there. */
const debianPackages = {
  'docker-registry': 'docker-registry',
  'redis-server': 'redis-server',
  pg_ctlcluster: 'postgresql',
};

const root = join(import.meta.dirname, '..');
const contracts = pathToFileURL(join(root, 'test/support/contract-hook.ts')).href;

await main();

async function main() {
  const patterns = process.argv.slice(2);
  const counts = { passed: 0, failed: 0, skipped: 0 };

  if (patterns.length === 0) {
    installDebianPackages();
    for (const [name, command, ...args] of [
      ['lint', 'biome', 'check', '.'],
      ['types', 'tsc', '--noEmit'],
    ]) {
      const { status } = spawnSync(join(root, 'node_modules/.bin', command), args, { cwd: root, stdio: 'inherit' });
      counts[status === 0 ? 'passed' : 'failed']++;
      if (status !== 0) console.log(`✖ ${name}`);
    }
  }

  const files = globSync(['src/**/*.test.ts', 'test/**/*.test.ts'], { cwd: root })
    .filter((file) => patterns.length === 0 || patterns.some((pattern) => file.includes(pattern)))
    .sort();
  if (files.length === 0) {
    console.error(`No test file matches ${patterns.join(' ')}.`);
    process.exit(1);
  }
  // Files that load models share two cores with their engines: one after another. The others run side by side.
  const heavy = files.filter(
    (file) => file.includes('/e2e/') || file.startsWith('src/engine/') || file.startsWith('src/providers/local'),
  );
  await runFiles(
    files.filter((file) => !heavy.includes(file)),
    2,
    counts,
  );
  await runFiles(heavy, 1, counts);

  const skipped = counts.skipped > 0 ? `, ${counts.skipped} skipped` : '';
  console.log(`\n${counts.passed} passed, ${counts.failed} failed${skipped}`);
  process.exit(counts.failed > 0 ? 1 : 0);
}

async function runFiles(files, concurrency, counts) {
  if (files.length === 0) return;
  const { run } = await import('node:test');
  const { spec } = await import('node:test/reporters');
  // A test that hangs would hold up the whole run: this ends it, and is far beyond what any file takes.
  const stream = run({
    files,
    cwd: root,
    concurrency,
    timeout: 20 * 60_000,
    // Whatever a server says in a test is checked against the published contracts.
    execArgv: ['--disable-warning=ExperimentalWarning', '--import', contracts],
  });
  stream.on('test:summary', ({ file, counts: { passed, failed, cancelled, skipped } }) => {
    if (file !== undefined) return;
    counts.passed += passed;
    counts.failed += failed + cancelled;
    counts.skipped += skipped;
  });
  for await (const text of stream.compose(spec)) process.stdout.write(text);
}

function installDebianPackages() {
  const missing = Object.entries(debianPackages)
    .filter(([command]) => spawnSync('sh', ['-c', `command -v ${command}`]).status !== 0)
    .map(([, name]) => name);
  if (missing.length === 0) return;
  const isRoot = process.getuid?.() === 0;
  if (!isRoot || spawnSync('sh', ['-c', 'command -v apt-get']).status !== 0) {
    console.log(
      `Not installed: ${missing.join(', ')}. Tests that need them will say so. On Debian: apt-get install ${missing.join(' ')}`,
    );
    return;
  }
  console.log(`Installing Debian packages for the tests: ${missing.join(', ')} …`);
  const options = {
    stdio: ['ignore', 'ignore', 'inherit'],
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
  };
  spawnSync('apt-get', ['update', '-qq'], options);
  spawnSync('apt-get', ['install', '-y', '-qq', '--no-install-recommends', ...missing], options);
}
