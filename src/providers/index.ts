/** Every kind of provider that the configuration may name; `local` is made by the server itself. Adding one = its file and its line here. */
import { anthropic } from './anthropic.ts';
import type { ProviderKind } from './define.ts';
import { openai } from './openai.ts';
import { openaiCompatible } from './openai-compatible.ts';

export const providerKinds: readonly ProviderKind[] = [openai, anthropic, openaiCompatible];
