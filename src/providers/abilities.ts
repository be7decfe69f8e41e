/**
 * What hosted models can do, read off their names, so that a route may send a picture or a tool only to those that take
 * it. Families that are not here are unknown, and unknown models are tried.
 */
import type { Capability, ModelInfo } from '../core/provider.ts';

type Family = {
  /** Names of the provider's own models. */
  name: RegExp;
  /** Those of them without what the family has. */
  lacks: { ability: Capability; name: RegExp }[];
};

const all: Capability[] = ['completion', 'tools', 'vision', 'thinking', 'json'];

/** By kind of provider. */
const families: Record<string, Family> = {
  openai: {
    name: /^(gpt-|chatgpt-|o[1-9](-|$)|codex-)/,
    lacks: [
      {
        ability: 'vision',
        name: /gpt-3\.5|gpt-4(-0|$)|gpt-4-turbo-preview|gpt-4-1106|^o[13]-mini|^o1-preview|-audio|-search/,
      },
      { ability: 'tools', name: /^o1-(mini|preview)|chatgpt-4o|-search|gpt-3\.5-turbo-instruct/ },
      { ability: 'json', name: /gpt-3\.5|gpt-4(-0|-turbo|-1106|$)|gpt-4o-2024-05|^o1-(mini|preview)/ },
      { ability: 'thinking', name: /^(gpt-[34]|chatgpt)|gpt-5(\.\d)?-chat/ },
    ],
  },
  anthropic: {
    name: /^claude-/,
    lacks: [
      { ability: 'vision', name: /claude-(2|instant)/ },
      { ability: 'tools', name: /claude-(2|instant)/ },
      { ability: 'thinking', name: /claude-(2|instant|3-(5-)?(opus|sonnet|haiku))/ },
    ],
  },
  gemini: {
    name: /^(gemini|gemma)-/,
    lacks: [
      { ability: 'tools', name: /gemma|-image|-tts/ },
      { ability: 'json', name: /gemma|-image|-tts/ },
      { ability: 'thinking', name: /gemini-[12]\.[0-4]|gemma|-image|-tts/ },
      { ability: 'vision', name: /-tts|gemma-3-1b/ },
    ],
  },
  deepseek: { name: /^deepseek-/, lacks: [{ ability: 'vision', name: /./ }] },
  kimi: {
    name: /^(kimi|moonshot)-/,
    lacks: [
      { ability: 'vision', name: /^kimi-k2(-|$)|^moonshot-v1-(auto|\d+k)$/ },
      { ability: 'thinking', name: /^moonshot|kimi-k2-(0|turbo)/ },
    ],
  },
  grok: {
    name: /^grok-/,
    lacks: [
      { ability: 'vision', name: /grok-(2-1212|3|code)/ },
      { ability: 'thinking', name: /grok-(2|3$|3-(latest|fast|beta))|non-reasoning/ },
    ],
  },
  mistral: {
    name: /^(mistral|ministral|codestral|magistral|devstral|pixtral|voxtral|open-mi[sx]tral|open-codestral)-/,
    lacks: [
      { ability: 'vision', name: /codestral|devstral|voxtral|open-|mistral-(tiny|saba|nemo)|-(23|240|2411|2501)/ },
      { ability: 'thinking', name: /^(?!magistral|mistral-(small|medium)-latest)/ },
    ],
  },
  qwen: {
    name: /^(qwen[\w.]*|qwq|qvq)-/,
    lacks: [
      { ability: 'vision', name: /^(?!.*(-vl|omni|qvq|qwen3\.[5-9]|qwen[4-9])).*$/ },
      { ability: 'tools', name: /qvq|-mt-|math/ },
      { ability: 'thinking', name: /instruct|coder|qwen2|-mt-|math/ },
    ],
  },
};

/** `describe` of a kind: its own models' abilities, undefined for any other name. Models that do not chat are left out. */
export function describer(kind: string): (model: string) => ModelInfo | undefined {
  const family = families[kind];
  return (id) => {
    if (!family?.name.test(id) || notForChat.test(id)) return undefined;
    const lacks = family.lacks.filter(({ name }) => name.test(id)).map(({ ability }) => ability);
    return { id, ownedBy: kind, capabilities: all.filter((ability) => !lacks.includes(ability)) };
  };
}

const notForChat = /embed|image|tts|transcribe|realtime|whisper|dall-e|moderation|ocr|imagine/;
