/**
 * Every kind of provider that the configuration may name; `local` is made by the server itself. Adding one = its file
 * and its line here.
 */

import type { Provider } from '../core/provider.ts';
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

/** A provider of the configuration: its kind, and its settings as that kind's schema gave them. */
export type ProviderEntry = { kind: string; settings: Record<string, unknown> };

/**
 * Makes the providers of one configuration after another. What has not changed stays the same object, with its
 * connections and what it knows of its keys; what is gone is closed once its calls have ended.
 */
export function createProviderSet(): (entries: Record<string, ProviderEntry>) => Map<string, Provider> {
  let current = new Map<string, { provider: Provider; settings: string }>();
  return (entries) => {
    const next: typeof current = new Map();
    for (const [name, { kind, settings }] of Object.entries(entries)) {
      const written = JSON.stringify([kind, settings]);
      const known = current.get(name);
      const found = providerKinds.find((candidate) => candidate.kind === kind);
      if (known?.settings === written) next.set(name, known);
      else if (found) next.set(name, { provider: found.create(name, settings), settings: written });
    }
    for (const [name, { provider }] of current) if (next.get(name)?.provider !== provider) void provider.close?.();
    current = next;
    return new Map([...current].map(([name, { provider }]) => [name, provider]));
  };
}
