/**
 * npm run quickstart [-- --once]: from a fresh clone to an answer of a real local model.
 * Installs npm dependencies, builds, installs the engine, pulls a small model, serves, asks one question through the
 * official OpenAI client. Each step is skipped when its work is done already.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { becomeLean } from '../src/cli/lean.ts';
import { build } from './build.mjs';

const model = 'smollm2:135m';
const question = 'In one sentence: what is a viaduct?';

const root = join(import.meta.dirname, '..');

becomeLean();
try {
  await main();
} catch (error) {
  console.error(
    `viaduct: ${error.code === 'ENOSPC' ? 'The disk is full. Free about 1 GB, then run this again.' : error.message}`,
  );
  process.exit(1);
}

async function main() {
  const once = process.argv.includes('--once');
  build();
  const { startServer } = await import('../dist/server.js');
  const server = await startServer({ quiet: true });
  try {
    await server.installEngine((line) => console.log(line));
    await pull(server.url);
    await ask(server.url);
  } catch (error) {
    await server.close();
    throw error;
  }
  if (once) return server.close();
  printNextSteps(server.url);
  for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => server.close());
}

/** Pull over the server's own API, as any client would; says how far it is every tenth. */
async function pull(url) {
  const response = await fetch(`${url}/api/pull`, { method: 'POST', body: JSON.stringify({ model }) });
  let shown = -1;
  for await (const line of lines(response.body)) {
    const { error, status, total, completed } = JSON.parse(line);
    if (error) throw new Error(error);
    if (!total) continue;
    const tenth = Math.floor((10 * (completed ?? 0)) / total);
    if (tenth !== shown) console.log(`Pulling ${model}: ${status} ${tenth * 10} %`);
    shown = tenth;
  }
}

async function* lines(body) {
  let rest = '';
  for await (const text of body.pipeThrough(new TextDecoderStream())) {
    const parts = (rest + text).split('\n');
    rest = parts.pop();
    yield* parts.filter(Boolean);
  }
  if (rest) yield rest;
}

async function ask(url) {
  const { OpenAI } = await import('openai');
  const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: 'ollama' });
  const { choices } = await client.chat.completions.create({
    model,
    messages: [{ role: 'user', content: question }],
    max_completion_tokens: 100,
  });
  console.log(`\n> ${question}\n${choices[0].message.content.trim()}\n`);
  console.log(`Base URL: ${url}/v1   (any API key; model ${model})`);
}

function printNextSteps(url) {
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  console.log(`
Viaduct ${version} keeps serving; Ctrl-C stops it. Next, in another terminal:

  curl ${url}/v1/chat/completions -d '{"model":"${model}","messages":[{"role":"user","content":"Hello!"}]}'
  npm run viaduct -- run ${model}
  npm run viaduct -- pull qwen2.5-coder:0.5b
  npm run viaduct -- list
`);
}
