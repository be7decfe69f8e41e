/** The gateway on the real server with its viaduct.yaml: hosted providers played from recordings beside a real local model. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import Anthropic from '@anthropic-ai/sdk';
import OpenAI, { APIError } from 'openai';
import { type FaultyUpstream, startFaultyUpstream } from '../faults/upstream.ts';
import { viaduct, viaductJson } from '../support/command.ts';
import { type RecordedUpstream, startRecordedUpstream } from '../support/recorded-upstream.ts';
import { makeHome, startTestServer, type TestServer } from '../support/server.ts';

const adminKey = 'an-administrator-of-this-test';
const local = 'smollm2:135m';
const fixtures = join(import.meta.dirname, '__fixtures__');
const anthropicFixtures = join(import.meta.dirname, '../../src/protocols/anthropic-messages/__fixtures__');
const messages = [{ role: 'user' as const, content: 'Hello!' }];

let hosted: RecordedUpstream;
let faulty: FaultyUpstream;
/** Accepts connections and says nothing: reaching it is the failure. */
let forbidden: Server;
let reached = 0;
let home: string;
let server: TestServer;

const portOf = (listening: Server) => (listening.address() as { port: number }).port;
const providers = () => `
providers:
  openai: { base_url: "${hosted.origin}/v1", api_key: sk-of-openai-0123456789 }
  anthropic: { base_url: "${hosted.origin}", api_key: sk-ant-of-anthropic-0123456789 }
  faulty: { kind: openai-compatible, base_url: "${faulty.url}" }
  gone: { kind: openai-compatible, base_url: "http://127.0.0.1:9/v1" }
  forbidden: { kind: openai-compatible, base_url: "http://127.0.0.1:${portOf(forbidden)}/v1", api_key: sk-forbidden-0123456789 }
`;
const config = () => `
engine: { parallel: 1, keep_alive: 1h }
${providers()}
models:
  hosted-first: { targets: [faulty/500, local/${local}], retries: 0 }
  local-first: { targets: [local/${local}, openai/gpt-5-nano], overflow: { queue: 1 } }
  paced: { targets: [openai/gpt-5-nano] }
  claude: { targets: [anthropic/claude-sonnet-4-5] }
  secret: { targets: [forbidden/m, local/${local}], privacy: local, shadow: { to: forbidden/m, percent: 100 }, canary: { to: forbidden/m, percent: 100 } }
  secret-nowhere: { targets: [forbidden/m], privacy: local }
  away: { targets: [forbidden/m] }
  both: { targets: [forbidden/m, local/${local}], shadow: { to: forbidden/m, percent: 100 } }
`;

before(async () => {
  hosted = await startRecordedUpstream([
    ...['chat-basic.0.44054c.json', 'sse-chat-streaming.0.8b530e.json', 'embeddings-dimensions.0.e4131c.json'].map(
      (file) => join(fixtures, file),
    ),
    ...['test_tool_choice_matrix_none-anthropic_.0.9701ff.json', 'sse-test_image_prompt.0.4ac0b6.json'].map((file) =>
      join(anthropicFixtures, file),
    ),
  ]);
  faulty = await startFaultyUpstream();
  forbidden = createServer(() => reached++).listen(0, '127.0.0.1');
  await once(forbidden, 'listening');
  home = await makeHome([local]);
  server = await start(config());
});
after(async () => {
  await server?.close();
  await hosted?.close();
  await faulty?.close();
  forbidden?.close();
  rmSync(home, { recursive: true, force: true });
});
beforeEach(() => {
  hosted.pace = 0;
  hosted.seen.length = 0;
});

const start = (text: string) => startTestServer({ home, config: text, env: { VIADUCT_ADMIN_KEY: adminKey } });
/** The administrator's key is good for models too. */
const client = (apiKey = adminKey, path = '/v1') =>
  new OpenAI({ baseURL: `${server.url}${path}`, apiKey, maxRetries: 0 });
const ask = (model: string, options: OpenAI.RequestOptions = {}, apiKey = adminKey) =>
  client(apiKey).chat.completions.create({ model, messages, max_completion_tokens: 8 }, options).withResponse();
const admin = async <Body>(path: string): Promise<Body> => {
  const response = await fetch(`${server.url}/admin${path}`, { headers: { authorization: `Bearer ${adminKey}` } });
  return (await response.json()) as Body;
};

type Row = {
  attempt: number;
  model: string;
  provider: string;
  target: string;
  endpoint: string;
  status: string;
  cause: string | null;
  input_tokens: number;
  output_tokens: number;
  cost: number | null;
  stream: boolean;
};

/** Rows of a request, once there are `count`. */
async function ledger(requestId: string, count: number): Promise<Row[]> {
  let rows: Row[] = [];
  for (let tries = 0; rows.length < count && tries < 100; tries++) {
    if (tries > 0) await sleep(50);
    rows = (await admin<{ attempts?: Row[] }>(`/requests/${requestId}`)).attempts ?? [];
  }
  assert.equal(rows.length, count, `${requestId}: ${JSON.stringify(rows)}`);
  return rows;
}

async function refusal(work: Promise<unknown>, status: number, code: string): Promise<APIError> {
  const error = await work.then(
    () => assert.fail('it was let through'),
    (thrown: unknown) => thrown,
  );
  assert.ok(error instanceof APIError, String(error));
  assert.deepEqual([error.status, error.code], [status, code], error.message);
  return error;
}

async function until(what: string, condition: () => boolean | Promise<boolean>) {
  for (let tries = 0; tries < 400; tries++) {
    if (await condition()) return;
    await sleep(50);
  }
  assert.fail(`never: ${what}`);
}

describe('local and hosted as one', () => {
  test('what a hosted provider fails at, the local model answers; both attempts are in the ledger', async () => {
    const { data, response } = await ask('hosted-first', { headers: { 'x-request-id': 'fall-back' } });
    assert.ok(data.choices[0]?.message.content);
    assert.equal(response.headers.get('x-viaduct-provider'), 'local');
    assert.equal(response.headers.get('x-viaduct-attempts'), '2');
    assert.match(response.headers.get('x-viaduct-failures') ?? '', /^faulty\/500 provider_unavailable \d+ms$/);
    const [one, two] = await ledger('fall-back', 2);
    assert.deepEqual(
      [one?.provider, one?.status, one?.cause, one?.cost],
      ['faulty', 'error', 'provider_unavailable', null],
    );
    assert.deepEqual([two?.provider, two?.target, two?.status, two?.cause], ['local', local, 'ok', null]);
    assert.equal(two?.input_tokens, data.usage?.prompt_tokens);
    assert.equal(two?.output_tokens, data.usage?.completion_tokens);
    assert.ok((two?.cost ?? 0) > 0);
  });

  test('what the local model has no place for goes to the hosted one, and comes back when there is room', async () => {
    const alone = await ask('local-first');
    assert.equal(alone.response.headers.get('x-viaduct-provider'), 'local');
    // One is answered and others wait, until we say.
    let busy = true;
    const crowd = Array.from({ length: 4 }, async () => {
      while (busy) await client().chat.completions.create({ model: local, messages, max_completion_tokens: 60 });
    });
    await until('somebody waits', async () => {
      const { response } = await ask('local-first', { headers: { 'x-request-id': 'over-flow' } });
      return response.headers.get('x-viaduct-provider') === 'openai';
    });
    assert.ok(hosted.seen.length >= 1);
    busy = false;
    await Promise.all(crowd);
    await until(
      'there is room again',
      async () => (await ask('local-first')).response.headers.get('x-viaduct-provider') === 'local',
    );
    const providersSeen = (await admin<{ attempts: Row[] }>('/requests/over-flow')).attempts.map(
      ({ provider }) => provider,
    );
    assert.ok(providersSeen.includes('openai'));
  });

  test('what must stay on this machine never opens a connection, by route, key or header, at any door', async () => {
    const before = reached;
    const local_ = { headers: { 'x-viaduct-privacy': 'local' } };
    const key = await viaductJson<{ secret: string }>(['keys', 'create', 'private', '--local'], {
      home,
      url: server.url,
    });

    // By the route: first target, canary and shadow are elsewhere.
    assert.equal((await ask('secret')).response.headers.get('x-viaduct-provider'), 'local');
    for await (const _chunk of await client().chat.completions.create({
      model: 'secret',
      messages,
      max_completion_tokens: 4,
      stream: true,
    }));
    await refusal(ask('secret-nowhere'), 403, 'privacy_restricted');
    // By the header and by the key.
    for (const [apiKey, options] of [
      [adminKey, local_],
      [key.secret, {}],
    ] as const) {
      assert.equal((await ask('both', options, apiKey)).response.headers.get('x-viaduct-provider'), 'local');
      await refusal(ask('away', options, apiKey), 403, 'privacy_restricted');
      await refusal(ask('forbidden/anything', options, apiKey), 403, 'privacy_restricted');
      const mine = client(apiKey);
      await refusal(mine.embeddings.create({ model: 'away', input: 'Hi' }, options), 403, 'privacy_restricted');
      await refusal(mine.responses.create({ model: 'away', input: 'Hi' }, options), 403, 'privacy_restricted');
      await refusal(mine.images.generate({ model: 'away', prompt: 'Hi' }, options), 403, 'privacy_restricted');
      const native = client(apiKey, '/providers/forbidden');
      await refusal(native.chat.completions.create({ model: 'm', messages }, options), 403, 'privacy_restricted');
      const anthropic = new Anthropic({
        baseURL: server.url,
        apiKey,
        maxRetries: 0,
        defaultHeaders: options.headers ?? {},
      });
      await assert.rejects(
        anthropic.messages.create({ model: 'away', max_tokens: 4, messages }),
        Anthropic.PermissionDeniedError,
      );
      for (const path of ['/api/chat', '/api/generate', '/api/embed']) {
        const response = await fetch(server.url + path, {
          method: 'POST',
          headers: { authorization: `Bearer ${apiKey}`, ...options.headers },
          body: JSON.stringify({ model: 'away', messages, prompt: 'Hi', input: 'Hi' }),
        });
        assert.equal(response.status, 403, path);
      }
      // OpenRouter's ways to ask for others.
      const others = { model: 'secret', models: ['away'], provider: { order: ['forbidden'] }, messages, max_tokens: 4 };
      const answer = await fetch(`${server.url}/v1/chat/completions`, {
        method: 'POST',
        headers: { authorization: `Bearer ${apiKey}`, ...options.headers },
        body: JSON.stringify(others),
      });
      assert.ok(answer.status === 403 || answer.headers.get('x-viaduct-provider') === 'local');
    }
    // Shadows run beside the answer.
    await sleep(300);
    assert.equal(reached, before);
    // The listener does hear what may leave.
    await assert.rejects(ask('away', { headers: { 'x-viaduct-timeout': '0.5' } }));
    assert.equal(reached, before + 1);
  });
});

test('a failing name in any script is a plain failure', async () => {
  for (const name of ['模型', 'mod\u0000el', 'naïve\nmodel', '🚀'])
    await refusal(ask(`gone/${name}`), 502, 'provider_unavailable');
});

describe('native pass-through', () => {
  test('OpenAI’s and Anthropic’s SDKs on their own paths: our key in, the provider’s out, all in the ledger', async () => {
    const key = await viaductJson<{ secret: string }>(['keys', 'create', 'native'], { home, url: server.url });
    for (const path of ['/providers/openai', '/providers/openai/v1']) {
      const openai = client(key.secret, path);
      const id = `native${path.replaceAll('/', '-')}`;
      const whole = await openai.chat.completions.create(
        { model: 'gpt-5-nano', messages },
        { headers: { 'x-request-id': id } },
      );
      assert.match(whole.choices[0]?.message.content ?? '', /^Hi there!/);
      const [row] = await ledger(id, 1);
      assert.deepEqual(
        [row?.provider, row?.status, row?.input_tokens, row?.output_tokens],
        ['openai', 'ok', whole.usage?.prompt_tokens, 377],
      );
      let text = '';
      for await (const chunk of await openai.chat.completions.create({ model: 'gpt-5-nano', messages, stream: true }))
        text += chunk.choices[0]?.delta.content ?? '';
      assert.ok(text.length > 5);
      const { data } = await openai.embeddings.create({
        model: 'text-embedding-3-small',
        input: 'Hi',
        dimensions: 256,
      });
      assert.equal(data[0]?.embedding.length, 256);
      await assert.rejects(openai.files.list(), (error) => error instanceof APIError && error.status === 404);
    }
    const anthropic = new Anthropic({
      baseURL: `${server.url}/providers/anthropic`,
      apiKey: key.secret,
      maxRetries: 0,
    });
    const said = { model: 'claude-sonnet-4-5', max_tokens: 8, messages };
    const message = await anthropic.messages.create(said, { headers: { 'x-request-id': 'native-anthropic' } });
    const [row] = await ledger('native-anthropic', 1);
    assert.deepEqual([row?.provider, row?.output_tokens], ['anthropic', message.usage.output_tokens]);
    const final = await anthropic.messages.stream(said).finalMessage();
    assert.equal(final.role, 'assistant');

    assert.ok(hosted.seen.length >= 10);
    for (const { path, headers } of hosted.seen) {
      assert.match(path, /^\/v1\/(chat\/completions|embeddings|messages|files)/);
      assert.doesNotMatch(JSON.stringify(headers), /vd-/);
      assert.match(
        String(headers.authorization ?? headers['x-api-key']),
        /sk-(ant-)?of-(openai|anthropic)-0123456789$/,
      );
    }
    // Uploads that streamed through are looked at once more, every five seconds.
    await sleep(5500);
    await assert.rejects(client('wrong', '/providers/openai').models.list(), OpenAI.AuthenticationError);
    await assert.rejects(client(key.secret, '/providers/nobody').models.list(), OpenAI.NotFoundError);
  });
});

describe('configuration', () => {
  test('a new file takes effect while a stream goes on; a bad one is refused with file, line and key', async () => {
    hosted.pace = 60;
    const stream = await client().chat.completions.create({ model: 'paced', messages, stream: true });
    const reading = (async () => {
      let text = '';
      let finish: string | null | undefined;
      for await (const { choices } of stream) {
        text += choices[0]?.delta.content ?? '';
        finish = choices[0]?.finish_reason ?? finish;
      }
      return { text, finish };
    })();
    const changed = config().replace(/ {2}paced: .*\n/, '  added: { targets: [anthropic/claude-sonnet-4-5] }\n');
    writeFileSync(join(home, 'viaduct.yaml'), changed);
    await until('the new name is known', () =>
      ask('added').then(
        () => true,
        () => false,
      ),
    );
    await refusal(ask('paced'), 404, 'model_not_found');
    const { text, finish } = await reading;
    assert.equal(finish, 'stop');
    assert.ok(text.length > 20);

    const bad = `${changed}  wrong: { targets: [openai/gpt-5-nano], strategy: orderd }\n`;
    writeFileSync(join(home, 'viaduct.yaml'), bad);
    const place = `viaduct.yaml:${bad.trimEnd().split('\n').length}: models.wrong.strategy`;
    await until(place, () => server.log().includes(place));
    await ask('added');
    await refusal(ask('wrong'), 404, 'model_not_found');

    const check = (file: string, ...more: string[]) => viaduct(['config', 'check', file, ...more], { home });
    const refused = await check(join(home, 'viaduct.yaml'));
    assert.equal(refused.code, 1);
    assert.ok(refused.stderr.includes(place), refused.stderr);
    assert.match(refused.stderr, /1 problem in the configuration/);
    const asJson = await check(join(home, 'viaduct.yaml'), '--json');
    assert.equal(asJson.code, 1);
    assert.equal((JSON.parse(asJson.stdout) as { problems: string[] }).problems.length, 1);

    writeFileSync(join(home, 'viaduct.yaml'), config());
    await until('the old names are back', () =>
      ask('paced').then(
        () => true,
        () => false,
      ),
    );
    const accepted = await check(join(home, 'viaduct.yaml'));
    assert.deepEqual([accepted.code, accepted.stderr], [0, '']);
    assert.match(accepted.stdout, /5 providers, 8 models/);
    assert.equal((await check(join(home, 'nowhere.yaml'))).code, 1);
  });

  test('a LiteLLM proxy’s configuration, turned into ours, serves the same names', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'viaduct-litellm-'));
    writeFileSync(
      join(folder, 'config.yaml'),
      `
model_list:
  - model_name: gpt-5-nano
    litellm_params: { model: openai/gpt-5-nano, api_base: "${hosted.origin}/v1", api_key: os.environ/OPENAI_API_KEY, rpm: 500 }
    model_info: { id: one, mode: chat }
  - model_name: gpt-5-nano
    litellm_params: { model: hosted_vllm/500, api_base: "${faulty.url}", rpm: 10 }
  - model_name: claude
    litellm_params: { model: anthropic/claude-sonnet-4-5, api_base: "${hosted.origin}", api_key: os.environ/ANTHROPIC_API_KEY, max_tokens: 1024 }
litellm_settings:
  num_retries: 2
  request_timeout: 30
  fallbacks: [{ gpt-5-nano: [claude] }]
  drop_params: true
  callbacks: [prometheus]
router_settings:
  routing_strategy: simple-shuffle
  model_group_alias: { small: gpt-5-nano }
general_settings:
  master_key: sk-litellm-master
  database_url: "postgresql://nobody@127.0.0.1/litellm"
`,
    );
    const env = { OPENAI_API_KEY: 'sk-of-openai-0123456789', ANTHROPIC_API_KEY: 'sk-ant-of-anthropic-0123456789' };
    const output = join(folder, 'viaduct.yaml');
    const imported = await viaduct(['import', 'litellm', join(folder, 'config.yaml'), '-o', output], { home });
    assert.equal(imported.code, 0, imported.stderr);
    assert.match(imported.stderr, /VIADUCT_ADMIN_KEY/);
    assert.match(imported.stderr, /max_tokens/);
    const written = readFileSync(output, 'utf8');
    assert.doesNotMatch(written, /sk-litellm-master|sk-of-openai/);
    const again = await viaduct(['import', 'litellm', join(folder, 'config.yaml'), '-o', output], { home });
    assert.equal(again.code, 1, 'it must not overwrite');
    const checked = await viaduct(['config', 'check', output], { home, env });
    assert.equal(checked.code, 0, checked.stderr);
    // What LiteLLM kept there is of no use to us.
    const text = written.replace(/^database:.*\n/m, '');
    const moved = await startTestServer({ config: text, env });
    const openai = new OpenAI({ baseURL: `${moved.url}/v1`, apiKey: 'any', maxRetries: 0 });
    for (const model of ['gpt-5-nano', 'small', 'claude', 'gpt-5-nano', 'small'])
      assert.ok((await openai.chat.completions.create({ model, messages })).choices[0]?.message.content, model);
    await moved.close();
    rmSync(folder, { recursive: true, force: true });
  });
});

describe('the end of the process', () => {
  /** Processes below the server, by their ids. */
  function children(pid: number): number[] {
    const parents = new Map<number, number>();
    for (const name of readdirSync('/proc')) {
      if (!/^\d+$/.test(name)) continue;
      try {
        const [, state, parent] = /\) (\S) (\d+)/.exec(readFileSync(`/proc/${name}/stat`, 'utf8')) ?? [];
        if (state !== 'Z') parents.set(Number(name), Number(parent));
      } catch {
        // It ended between the two calls.
      }
    }
    const below = (id: number): number[] =>
      [...parents].filter(([, parent]) => parent === id).flatMap(([child]) => [child, ...below(child)]);
    return below(pid);
  }
  const isAlive = (pid: number) => {
    try {
      return !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
    } catch {
      return false;
    }
  };

  test('kill -9 under load: what was finished is in the ledger once, and no runner is left after five seconds', async () => {
    const finished: string[] = [];
    let alive = true;
    const load = async (model: string, number: number, stream: boolean) => {
      for (let n = 0; alive; n++) {
        const id = `killed-${model.replace(':', '-')}-${number}-${n}`;
        const options = { headers: { 'x-request-id': id } };
        const request = { model, messages, max_completion_tokens: 4 };
        if (stream)
          for await (const _chunk of await client().chat.completions.create({ ...request, stream: true }, options));
        else await client().chat.completions.create(request, options);
        finished.push(id);
      }
    };
    const clients = [0, 1, 2, 3].flatMap((number) =>
      [local, 'paced'].map((model) => load(model, number, number % 2 === 0).catch(() => {})),
    );
    await until(
      'there is enough to lose',
      () => finished.filter((id) => id.includes('smollm2')).length >= 4 && finished.length >= 40,
    );
    const runners = children(server.process.pid ?? 0);
    assert.ok(runners.length > 0);
    server.process.kill('SIGKILL');
    await once(server.process, 'exit');
    alive = false;
    const killedAt = Date.now();
    while (runners.some(isAlive) && Date.now() - killedAt < 5000) await sleep(50);
    assert.deepEqual(runners.filter(isAlive), []);
    await Promise.all(clients);

    server = await start(config());
    const counts = new Map<string, number>();
    const { data } = await admin<{ data: { request_id: string }[] }>('/requests?limit=1000');
    for (const { request_id } of data) counts.set(request_id, (counts.get(request_id) ?? 0) + 1);
    assert.deepEqual(
      finished.slice(-800).filter((id) => counts.get(id) !== 1),
      [],
    );
    assert.ok((await ask(local)).data.choices[0]?.message.content);
  });

  test('SIGTERM: streams run to their end, nobody new is let in, nothing is left behind', async () => {
    hosted.pace = 60;
    const endOf = async (model: string, more: object) => {
      const stream = await client().chat.completions.create({ model, messages, stream: true, ...more });
      let finish: string | null | undefined;
      let begun: (() => void) | undefined;
      const first = new Promise<void>((resolve) => {
        begun = resolve;
      });
      const end = (async () => {
        for await (const { choices } of stream) {
          begun?.();
          finish = choices[0]?.finish_reason ?? finish;
        }
        return finish;
      })();
      await first;
      return { end };
    };
    const far = await endOf('paced', {});
    const near = await endOf(local, { max_completion_tokens: 40, temperature: 0 });
    const runners = children(server.process.pid ?? 0);
    assert.ok(runners.length > 0);
    const exit = once(server.process, 'exit');
    server.process.kill('SIGTERM');
    await sleep(100);
    await assert.rejects(fetch(`${server.url}/healthz`));
    assert.equal(await far.end, 'stop');
    assert.match(String(await near.end), /^(stop|length)$/);
    const endedAt = Date.now();
    assert.deepEqual(await exit, [0, null]);
    // Connections that this client keeps open for a next request do not hold it up.
    assert.ok(Date.now() - endedAt < 15_000);
    assert.deepEqual(runners.filter(isAlive), []);
    server = await start(config());
  });
});
