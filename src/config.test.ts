import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  ConfigError,
  configPlaces,
  jsonSchema,
  loadSettings,
  parseConfig,
  parseDuration,
  reloaded,
  watchFiles,
} from './config.ts';

const parse = (text: string, env: Record<string, string> = {}) => parseConfig(text, 'viaduct.yaml', env);
const problemsOf = (text: string, env: Record<string, string> = {}): string[] => {
  try {
    parse(text, env);
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
  return [];
};

const full = `
server:    { host: 127.0.0.1, port: 11434, origins: [] }
auth:      { mode: auto }
database:  sqlite
redis:     null
engine:    { keep_alive: 5m, parallel: auto, context: auto, max_loaded: auto, max_queue: 512 }
machine:   { watts: 65, price_per_kwh: 0.30, hardware_price: 2000, lifetime_hours: 26280, currency: USD }
providers:
  openai:    { api_key: \${OPENAI_API_KEY} }
  anthropic: { api_key: \${ANTHROPIC_API_KEY} }
  gemini:    { api_key: "\${GEMINI_API_KEY:-none}" }
  gpu-box:   { kind: vllm, base_url: http://gpu:8000/v1 }
models:
  lock: enforce
  fast:   { targets: [local/qwen3:8b, anthropic/claude-haiku-4-5], strategy: ordered, overflow: { queue: 4, wait: 2s } }
  smart:  { targets: [{ to: openai/gpt-5, weight: 3 }, { to: gemini/gemini-2.5-pro, weight: 1 }], strategy: weighted, timeout: { first_token: 10s, total: 120s } }
  secret: { targets: [local/qwen3:8b], privacy: local }
  short:  [local/qwen3:8b]
`;
const keys = { OPENAI_API_KEY: 'sk-"quoted": {odd}', ANTHROPIC_API_KEY: '12345' };

test('an empty file is a working configuration', () => {
  assert.equal(parse('').server.port, 11434);
});

test('the documented example parses, values of variables stay whole', () => {
  const config = parse(full, keys);
  assert.deepEqual(config.providers['openai'], { kind: 'openai', settings: { api_key: keys.OPENAI_API_KEY } });
  assert.equal(config.providers['anthropic']?.settings['api_key'], '12345');
  assert.equal(config.providers['gpu-box']?.kind, 'vllm');
  assert.deepEqual(config.models['fast']?.overflow, { queue: 4, wait: 2000 });
  assert.equal(config.models['smart']?.timeout.first_token, 10_000);
  assert.deepEqual(config.models['short']?.targets, [{ to: 'local/qwen3:8b', weight: 1, tags: [] }]);
  assert.equal(config.lock, 'enforce');
});

test('every problem is told with file, line and key', () => {
  const problems = problemsOf(
    [
      'server:',
      '  prot: 1',
      'engine: { keep_alive: 5 minutes }',
      'providers:',
      '  openai:',
      '    api_keyy: x',
      '  box: { kind: nonsense }',
      'models:',
      '  fast:',
      '    targets: [nobody/gpt-5]',
      '    strategy: fastest',
    ].join('\n'),
  );
  assert.match(problems.join('\n'), /viaduct\.yaml:2: server\.prot: There is no such setting/);
  assert.match(problems.join('\n'), /viaduct\.yaml:3: engine\.keep_alive: .*duration/);
  assert.match(problems.join('\n'), /viaduct\.yaml:6: providers\.openai\.api_keyy: There is no such setting/);
  assert.match(problems.join('\n'), /viaduct\.yaml:7: providers\.box\.kind: There is no kind of provider "nonsense"/);
  assert.match(problems.join('\n'), /viaduct\.yaml:11: models\.fast\.strategy/);
});

test('a target of a provider that is not configured is a problem', () => {
  assert.deepEqual(problemsOf('models:\n  fast: { targets: [nobody/gpt-5] }'), [
    'viaduct.yaml:2: models.fast.targets.0: No provider is called "nobody". Configured: local',
  ]);
});

test('what else is wrong is told together with a variable that is not set', () => {
  const text = `providers: { openai: { api_key: \${NONE} } }\nserver: { port: \${NONE} }\nmodels: { m: [gone/x] }`;
  assert.throws(
    () => parseConfig(text, 'viaduct.yaml', {}),
    (error) => {
      assert.ok(error instanceof ConfigError);
      const places = error.problems.map((line) => line.split(': ', 2).join(': '));
      assert.deepEqual(places, ['viaduct.yaml:1: providers.openai.api_key', 'viaduct.yaml:2: server.port']);
      return true;
    },
  );
  const targets = `providers: { openai: { api_key: \${NONE} } }\nmodels: { m: [gone/x] }`;
  assert.throws(
    () => parseConfig(targets, 'viaduct.yaml', {}),
    /api_key: The environment[\s\S]*viaduct\.yaml:2: models\.m\.targets\.0: No provider/,
  );
});

test('a variable that is not set is named with its line', () => {
  assert.deepEqual(problemsOf(`providers:\n  openai: { api_key: \${OPENAI_API_KEY} }`), [
    `viaduct.yaml:2: providers.openai.api_key: The environment variable OPENAI_API_KEY is not set. Set it, or write \${OPENAI_API_KEY:-default}.`,
  ]);
});

test('bad YAML is told with its line', () => {
  assert.match(problemsOf('server:\n  host: [')[0] ?? '', /^viaduct\.yaml:\d+: /);
});

test('variables may be numbers', () => {
  assert.equal(parse(`server: { port: \${PORT} }`, { PORT: '8080' }).server.port, 8080);
});

test('the environment: ours wins over the file, Ollama’s fills in', () => {
  const file = 'server: { host: 10.0.0.1, port: 5 }\nengine: { keep_alive: 1m }';
  assert.deepEqual(parse(file, { VIADUCT_HOST: '0.0.0.0:80' }).server.port, 80);
  assert.equal(parse(file, { OLLAMA_HOST: '0.0.0.0:80' }).server.host, '10.0.0.1');
  assert.equal(parse('', { OLLAMA_HOST: '0.0.0.0' }).server.host, '0.0.0.0');
  assert.equal(parse(file, { OLLAMA_KEEP_ALIVE: '2h' }).engine.keep_alive, 60_000);
  assert.equal(parse('', { OLLAMA_KEEP_ALIVE: '-1' }).engine.keep_alive, -1000);
  assert.equal(parse('', { OLLAMA_CONTEXT_LENGTH: '8192', OLLAMA_NUM_PARALLEL: '0' }).engine.context, 8192);
});

test('durations in every form that Ollama takes', () => {
  assert.equal(parseDuration('1h30m'), 5_400_000);
  assert.equal(parseDuration('-1'), -1000);
  assert.equal(parseDuration('soon'), undefined);
});

test('the published JSON Schema is current', () => {
  const published = join(import.meta.dirname, '../docs/viaduct.schema.json');
  assert.deepEqual(
    JSON.parse(readFileSync(published, 'utf8')),
    JSON.parse(JSON.stringify(jsonSchema())),
    'run: npm run viaduct config schema > docs/viaduct.schema.json',
  );
});

test('a changed file is read again, a bad one is reported', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'viaduct-config-'));
  const file = join(folder, 'viaduct.yaml');
  writeFileSync(file, 'server: { port: 1 }');
  const env = { VIADUCT_CONFIG: file, VIADUCT_HOME: folder };
  let port = loadSettings(env).config.server.port;
  const failures: unknown[] = [];
  const stop = watchFiles(
    [file],
    () => {
      port = loadSettings(env).config.server.port;
    },
    (error) => failures.push(error),
  );
  const until = async (condition: () => boolean) => {
    for (let waited = 0; !condition() && waited < 5000; waited += 20) await sleep(20);
    assert.ok(condition());
  };
  writeFileSync(file, 'server: { port: 2 }');
  await until(() => port === 2);
  writeFileSync(file, 'server: { prot: 2 }');
  await until(() => failures.length === 1);
  assert.equal(port, 2);
  writeFileSync(`${file}.new`, 'server: { port: 3 }');
  renameSync(`${file}.new`, file);
  await until(() => port === 3);
  stop();
  rmSync(folder, { recursive: true });
});

test('a file that appears is read, one that goes for a moment changes nothing', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'viaduct-config-'));
  const env = { VIADUCT_HOME: join(folder, 'home') };
  mkdirSync(env.VIADUCT_HOME);
  const [own = '', general = ''] = configPlaces(env, folder);
  const ports: number[] = [loadSettings(env, folder).config.server.port];
  const stop = watchFiles(
    [own, general, join(folder, 'nowhere', 'viaduct.yaml')],
    () => {
      ports.push(loadSettings(env, folder).config.server.port);
    },
    (error) => assert.fail(String(error)),
  );
  const until = async (port: number) => {
    for (let waited = 0; ports.at(-1) !== port && waited < 5000; waited += 20) await sleep(20);
    assert.equal(ports.at(-1), port);
  };
  writeFileSync(general, 'server: { port: 2 }');
  await until(2);
  writeFileSync(own, 'server: { port: 3 }');
  await until(3);
  rmSync(own);
  await sleep(300);
  writeFileSync(own, 'server: { port: 4 }');
  await until(4);
  assert.deepEqual(ports, [11434, 2, 3, 4]);
  stop();
  rmSync(folder, { recursive: true });
});

test('a configuration read again: all of it is in force but what needs a start, which is named', () => {
  const old = parseConfig('server: { port: 1, origins: [] }\nengine: { max_queue: 3 }', 'viaduct.yaml', {});
  const text = `
server: { port: 2, origins: ["https://a.example"], tls: { cert: a, key: b } }
database: postgres://localhost/x
engine: { max_queue: 4, image_hosts: [img.internal] }
limits: { models: { m: { rpm: 1 } } }
auth: { mode: required }
`;
  const { inForce, waiting } = reloaded(old, parseConfig(text, 'viaduct.yaml', {}));
  assert.deepEqual(waiting, ['server.port', 'server.tls', 'database']);
  assert.equal(inForce.server.port, 1);
  assert.equal(inForce.server.tls, undefined);
  assert.equal(inForce.database, 'sqlite');
  assert.equal(inForce.engine.max_queue, 4);
  assert.deepEqual(inForce.server.origins, ['https://a.example']);
  assert.deepEqual(inForce.engine.image_hosts, ['img.internal']);
  assert.equal(inForce.auth.mode, 'required');
  assert.deepEqual(inForce.limits.models, { m: { rpm: 1 } });
  assert.deepEqual(reloaded(inForce, inForce).waiting, []);
});
