import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { testEngine } from '../../test/support/engine.ts';
import { findEngine, installedEngine } from './engine.ts';
import { installEngine } from './install.ts';
import { installRelease } from './install-release.ts';

let folder: string;
let home: string;
const searchPath = process.env['PATH'] ?? '';

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'viaduct-install-'));
  home = join(folder, 'home');
});
afterEach(() => {
  process.env['PATH'] = searchPath;
  rmSync(folder, { recursive: true, force: true });
});

function script(name: string, body: string): string {
  mkdirSync(join(folder, 'bin'), { recursive: true });
  const path = join(folder, 'bin', name);
  writeFileSync(path, `#!/bin/sh\n${body}\n`);
  chmodSync(path, 0o755);
  return path;
}

/** A python3 that says it is `version`, and behaves as `pip` when asked to download. */
function standIn(version: [number, number], pip: string) {
  const path = join(folder, 'bin', 'python3');
  script(
    'python3',
    `case "$*" in
      -c*) printf '%s\\n' '${path}' ${version[0]} ${version[1]} ;;
      *"pip --version"*) exit 0 ;;
      *) ${pip} ;;
    esac`,
  );
  process.env['PATH'] = join(folder, 'bin');
}

async function failure(options: { code: string; message: RegExp }) {
  await assert.rejects(installEngine({ home, sources: ['wheel'] }), (error: Error & { code: string }) => {
    assert.equal(error.code, options.code);
    assert.match(error.message, options.message);
    assert.ok(!error.message.includes('\n'), 'one line');
    return true;
  });
  assert.deepEqual(readdirSync(join(home, 'engine')), [], 'nothing half-written');
}

test('without Python: what to install', async () => {
  process.env['PATH'] = join(folder, 'bin');
  await failure({ code: 'engine_unavailable', message: /no python3 here\. Install Python 3/ });
});

test('with a Python that is too old: both versions', async () => {
  standIn([3, 8], 'exit 1');
  await failure({ code: 'engine_unavailable', message: /Python 3\.10 or newer; here is only 3\.8/ });
});

test('without pip: how to get it', async () => {
  const path = join(folder, 'bin', 'python3');
  script('python3', `case "$*" in -c*) printf '%s\\n' '${path}' 3 11 ;; *) exit 1 ;; esac`);
  process.env['PATH'] = join(folder, 'bin');
  await failure({ code: 'engine_unavailable', message: /python3-pip/ });
});

test('without a network: check it, or the settings of pip', async () => {
  standIn([3, 11], 'echo "NewConnectionError: Temporary failure in name resolution" >&2; exit 1');
  await failure({ code: 'engine_unavailable', message: /index cannot be reached/ });
});

test('with a full disk: free some space', async () => {
  standIn([3, 11], 'echo "ERROR: Could not install: [Errno 28] No space left on device" >&2; exit 1');
  await failure({ code: 'disk_full', message: /Free some space/ });
});

test('a wheel with another digest is thrown away', async () => {
  standIn([3, 11], 'while [ "$1" != --dest ]; do shift; done; echo something else > "$2/xllamacpp-1-py3-none-any.whl"');
  await failure({ code: 'digest_mismatch', message: /not [0-9a-f]{64} as recorded/ });
});

test('the wheel works, is installed once by two at the same time, and what a killed installation left is removed', async () => {
  // Fills pip's cache, so that this test downloads nothing twice.
  await testEngine();
  mkdirSync(join(home, 'engine', 'new-left'), { recursive: true });
  const statuses: string[] = [];
  const onProgress = ({ status }: { status: string }) => statuses.push(status);
  const [one, two] = await Promise.all([
    installEngine({ home, sources: ['wheel'], onProgress }),
    installEngine({ home, sources: ['wheel'], onProgress }),
  ]);
  assert.deepEqual(one, two);
  assert.equal(statuses.filter((status) => status === 'unpacking').length, 1);
  assert.deepEqual(readdirSync(join(home, 'engine')).sort(), ['current', one.path.split('/').at(-1)]);
  assert.match(
    execFileSync(one.command[0] ?? '', [...one.command.slice(1), '--version'], {
      encoding: 'utf8',
      env: { ...process.env, ...one.env },
    }),
    /xllamacpp/,
  );
  const before = statuses.length;
  await installEngine({ home, onProgress });
  assert.equal(statuses.length, before, 'a second run does nothing');
});

test('an official archive is verified, unpacked and tried', async () => {
  mkdirSync(join(folder, 'llama-b1'));
  const program = join(folder, 'llama-b1', 'llama-server');
  const archive = join(folder, 'llama.tar.gz');
  const pack = (body: string) => {
    writeFileSync(program, `#!/bin/sh\n${body}\n`);
    chmodSync(program, 0o755);
    execFileSync('tar', ['-czf', archive, '-C', folder, 'llama-b1']);
    const bytes = readFileSync(archive);
    return { sha256: createHash('sha256').update(bytes).digest('hex'), bytes: bytes.length };
  };
  const server = createServer((_request, response) => response.end(readFileSync(archive)));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/llama.tar.gz`;
  const install = async (wanted: { sha256: string; bytes: number }, site = url) => {
    const work = mkdtempSync(join(folder, 'work-'));
    const [scratch, target] = [join(work, 'scratch'), join(work, 'target')];
    for (const each of [scratch, target]) mkdirSync(each);
    const signal = new AbortController().signal;
    const record = await installRelease({ url: site, ...wanted }, { scratch, target, report() {}, signal });
    assert.ok(existsSync(join(target, record.program)));
    return record;
  };
  try {
    assert.equal((await install(pack('exit 0'))).kind, 'llama-server');
    await assert.rejects(install({ ...pack('exit 0'), sha256: '0'.repeat(64) }), { code: 'digest_mismatch' });
    await assert.rejects(install({ ...pack('exit 0'), bytes: 10 }), { code: 'engine_unavailable', message: /larger/ });
    await assert.rejects(install(pack('echo "GLIBC_2.38 not found" >&2; exit 1')), {
      code: 'engine_unavailable',
      message: /does not run on this system \(GLIBC_2\.38 not found\)/,
    });
    await assert.rejects(install(pack('exit 0'), 'http://127.0.0.1:1/llama.tar.gz'), { code: 'engine_unavailable' });
  } finally {
    server.close();
  }
});

test('the configured engine comes first, then the PATH, then the installed one', async () => {
  const onPath = script('llama-server', 'exit 0');
  const path = ['/nonexistent', join(folder, 'bin')].join(delimiter);
  const configured = join(folder, 'own');
  mkdirSync(configured);
  writeFileSync(join(configured, 'llama-server'), '');
  chmodSync(join(configured, 'llama-server'), 0o755);
  assert.equal((await findEngine({ configured, home, path }))?.command[0], join(configured, 'llama-server'));
  assert.equal((await findEngine({ home, path }))?.command[0], onPath);
  assert.equal(await findEngine({ home, path: '' }), undefined);
  assert.equal(await installedEngine(home), undefined);
  await assert.rejects(findEngine({ configured: '/nowhere', home, path }), {
    code: 'engine_unavailable',
    message: /\/nowhere/,
  });
});
