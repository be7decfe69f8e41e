/** A real server in its own process, with a home of its own, real weights and the real engine. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { cacheFolder, withLock } from './cache.ts';
import { mark } from './contract-mark.ts';

const root = join(import.meta.dirname, '../..');
const main = join(root, 'src/main.ts');
const nodeFlags = ['--disable-warning=ExperimentalWarning'];
/** In a test, what the server says is checked against the published contracts. Measurements use this file as well. */
const inTest = process.env['NODE_TEST_CONTEXT'] !== undefined;
const contractFlags = inTest ? ['--import', pathToFileURL(join(import.meta.dirname, 'contract-hook.ts')).href] : [];
const shared = join(root, '../shared/models');

/** Models that tests may ask for, and where their weights come from. */
const recipes: Record<string, { pull?: string; modelfile?: string }> = {
  'smollm2:135m': { pull: 'smollm2:135m' },
  'gemma3:270m': { pull: 'gemma3:270m' },
  'qwen2.5-coder:0.5b': { pull: 'qwen2.5-coder:0.5b' },
  // For clients that set no limit: this small a model may go on until its context is full.
  'smollm2:brief': { modelfile: 'FROM smollm2:135m\nPARAMETER num_predict 300\n' },
  // Real thinking models are too large for tests; this one's template makes it begin with a thought.
  'smollm2:thinks': {
    modelfile: `FROM smollm2:135m
TEMPLATE """{{ range .Messages }}<|im_start|>{{ .Role }}
{{ .Content }}<|im_end|>
{{ end }}<|im_start|>assistant
<think>
"""
PARAMETER num_predict 60
`,
  },
  'all-minilm': { modelfile: `FROM ${join(shared, 'all-minilm-l6-v2-q8_0.gguf')}\n` },
  'smollm2-vision': { modelfile: `FROM smollm2:135m\nFROM ${join(shared, 'vision/smollm2-135m.mmproj.gguf')}\n` },
  'qwen-vision': {
    modelfile: `FROM qwen2.5-coder:0.5b\nFROM ${join(shared, 'vision/qwen2.5-coder-0.5b.mmproj.gguf')}\n`,
  },
  // For requests that set no temperature: so small a model calls a tool only most of the time.
  'qwen-vision:greedy': { modelfile: 'FROM qwen-vision\nPARAMETER temperature 0\n' },
};
const needs: Record<string, string> = {
  'smollm2:brief': 'smollm2:135m',
  'smollm2:thinks': 'smollm2:135m',
  'smollm2-vision': 'smollm2:135m',
  'qwen-vision': 'qwen2.5-coder:0.5b',
  'qwen-vision:greedy': 'qwen-vision',
};

export type TestModel = keyof typeof recipes;

/** A home folder in the cache that holds the engine and the models; tests copy it by hard links. */
const cachedHome = join(cacheFolder, 'home');

function viaduct(args: string[], home: string) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [...nodeFlags, main, ...args], {
    // An address where nobody listens, so that the command serves itself.
    env: { ...cleanEnvironment(), VIADUCT_HOME: home, VIADUCT_HOST: '127.0.0.1:1' },
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error(`viaduct ${args.join(' ')} failed:\n${stderr || stdout}`);
}

const manifest = (model: string) => {
  const [name = '', tag = 'latest'] = model.split(':');
  return join(cachedHome, 'models/manifests/registry.ollama.ai/library', name, tag);
};

/** Make sure that the engine is installed and the models are in the cache. */
export async function prepareModels(models: string[]): Promise<void> {
  await withLock('home', async () => {
    mkdirSync(cachedHome, { recursive: true });
    if (!existsSync(join(cachedHome, 'engine'))) viaduct(['engine', 'install'], cachedHome);
    for (const model of models) prepareModel(model);
  });
}

function prepareModel(model: string) {
  if (existsSync(manifest(model))) return;
  const recipe = recipes[model];
  if (!recipe) throw new Error(`no recipe for ${model}`);
  const need = needs[model];
  if (need) prepareModel(need);
  if (recipe.pull) viaduct(['pull', recipe.pull], cachedHome);
  if (recipe.modelfile) {
    const folder = mkdtempSync(join(tmpdir(), 'viaduct-modelfile-'));
    writeFileSync(join(folder, 'Modelfile'), recipe.modelfile);
    viaduct(['create', model, '-f', join(folder, 'Modelfile')], cachedHome);
    rmSync(folder, { recursive: true });
  }
}

/** A fresh VIADUCT_HOME with the models in it. The engine is shared, weights are hard links: nothing is copied. */
export async function makeHome(models: string[] = []): Promise<string> {
  await prepareModels(models);
  const home = mkdtempSync(join(tmpdir(), 'viaduct-home-'));
  symlinkSync(join(cachedHome, 'engine'), join(home, 'engine'));
  const blobs = join(cachedHome, 'models/blobs');
  if (existsSync(blobs)) {
    mkdirSync(join(home, 'models'), { recursive: true });
    spawnSync('cp', ['-al', blobs, join(home, 'models/blobs')]);
  }
  for (const model of models) cpSync(manifest(model), manifest(model).replace(cachedHome, home), { recursive: true });
  return home;
}

export type TestServer = {
  url: string;
  home: string;
  process: ChildProcess;
  /** Everything the server wrote to its log so far. */
  log(): string;
  close(): Promise<void>;
};

export type TestServerOptions = {
  models?: string[];
  /** Text of viaduct.yaml. */
  config?: string;
  env?: Record<string, string>;
  /** An existing home, for restarts: it outlives the server. */
  home?: string;
  /** The program to run: the sources unless it is given. */
  program?: string;
};

/** Start `viaduct serve` on a free loopback port and wait until it listens. */
export async function startTestServer(options: TestServerOptions = {}): Promise<TestServer> {
  const home = options.home ?? (await makeHome(options.models));
  if (options.config !== undefined) writeFileSync(join(home, 'viaduct.yaml'), options.config);
  const child = spawn(process.execPath, [...nodeFlags, ...contractFlags, options.program ?? main, 'serve'], {
    cwd: home,
    env: { ...cleanEnvironment(), VIADUCT_HOME: home, VIADUCT_HOST: '127.0.0.1:0', ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let log = '';
  const url = await new Promise<string>((resolve, reject) => {
    const read = (chunk: Buffer) => {
      log += chunk;
      const listening = /listening on (https?:\/\/[^\s"]+)/i.exec(log)?.[1];
      if (listening) resolve(listening);
    };
    child.stdout.on('data', read);
    child.stderr.on('data', read);
    child.on('exit', (code) => reject(new Error(`viaduct serve ended with ${code}:\n${log}`)));
  });
  const gone = new Promise<void>((resolve) => child.on('exit', () => resolve()));
  return {
    url,
    home,
    process: child,
    log: () => log,
    async close() {
      if (child.exitCode === null && child.signalCode === null) child.kill('SIGTERM');
      await gone;
      const found = log
        .split('\n')
        .flatMap((line) => (line.startsWith(mark) ? [JSON.parse(line.slice(mark.length))] : []));
      if (found.length > 0) throw new Error(`The server did not keep to the contract:\n${found.join('\n\n')}`);
      if (!options.home) rmSync(home, { recursive: true, force: true });
    },
  };
}

/** The environment without settings that would leak into a test. */
export function cleanEnvironment(): NodeJS.ProcessEnv {
  return Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^(VIADUCT_|OLLAMA_|OPENAI_|ANTHROPIC_|NODE_TEST)/.test(name)),
  );
}
