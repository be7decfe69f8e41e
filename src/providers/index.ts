/** Every kind of provider that the configuration may name; `local` is made by the server itself. Adding one = its file and its line here. */
import { anthropic } from './anthropic.ts';
import { azure } from './azure.ts';
import { bedrock } from './bedrock.ts';
import { deepseek } from './deepseek.ts';
import type { ProviderKind } from './define.ts';
import { gemini } from './gemini.ts';
import { grok } from './grok.ts';
import { groq } from './groq.ts';
import { kimi } from './kimi.ts';
import { mistral } from './mistral.ts';
import { ollama } from './ollama.ts';
import { openai } from './openai.ts';
import { openaiCompatible } from './openai-compatible.ts';
import { openrouter } from './openrouter.ts';
import { qwen } from './qwen.ts';
import { tgi } from './tgi.ts';
import { tokenmix } from './tokenmix.ts';
import { vertex } from './vertex.ts';
import { vllm } from './vllm.ts';

export const providerKinds: readonly ProviderKind[] = [
  openai,
  azure,
  anthropic,
  gemini,
  vertex,
  bedrock,
  deepseek,
  qwen,
  kimi,
  grok,
  mistral,
  groq,
  openrouter,
  tokenmix,
  vllm,
  tgi,
  ollama,
  openaiCompatible,
];
