/** What a Claude model takes, read off its name, since the API answers 400 to what a generation does not know. */

export type ClaudeTraits = {
  /** `max_tokens` when the client gave none: the most the model can say. */
  maxOutput: number;
  /** How thinking is asked for: with a budget of tokens, or left to the model (`adaptive`). */
  thinking: 'none' | 'budget' | 'adaptive';
  /** Thoughts are left out of the answer unless `thinking.display` asks for them. */
  hidesThoughts: boolean;
  /** Knows `output_config.effort`; `xhigh` came later than `high`. */
  effort: 'none' | 'high' | 'xhigh';
  /** `temperature` and `top_p`: both, one of them, or neither. */
  sampling: 'both' | 'one' | 'none';
  /** Knows `output_config.format`. */
  structured: boolean;
  /** Takes `role: system` in the middle of a conversation. */
  inlineSystem: boolean;
};

/** For models behind the same API that are not Claude. */
const stranger: ClaudeTraits = {
  maxOutput: 8192,
  thinking: 'budget',
  hidesThoughts: false,
  effort: 'none',
  sampling: 'both',
  structured: true,
  inlineSystem: false,
};

// claude-sonnet-4-5-20250929, claude-opus-4-20250514, claude-fable-5 · claude-3-7-sonnet-latest, claude-3-opus
const newName = /claude-([a-z]+)-(\d+)(?:[-.](\d{1,2}))?(?!\d)/;
const oldName = /claude-(\d)(?:[-.](\d))?-([a-z]+)/;

/**
 * Traits of a model by its name, however a cloud writes it (`us.anthropic.claude-…-v1:0`).
 * Sources: https://docs.anthropic.com/en/docs/about-claude/models/overview, …/build-with-claude/{adaptive-thinking,effort,structured-outputs}
 */
export function claudeTraits(model: string): ClaudeTraits {
  const recent = newName.exec(model);
  const old = oldName.exec(model);
  const family = recent?.[1] ?? old?.[3];
  if (!family) return stranger;
  const version = Number(recent?.[2] ?? old?.[1]) * 100 + Number(recent?.[3] ?? old?.[2] ?? 0);
  const opus = family === 'opus';
  return {
    maxOutput: maxOutput(version, opus),
    thinking: version < 307 ? 'none' : version >= 406 ? 'adaptive' : 'budget',
    hidesThoughts: version >= 407,
    effort: version >= 407 ? 'xhigh' : version >= 406 || (opus && version >= 405) ? 'high' : 'none',
    sampling: version >= 407 ? 'none' : version >= 405 || (opus && version >= 401) ? 'one' : 'both',
    structured: version >= 405 || (opus && version >= 401),
    inlineSystem: version >= 408,
  };
}

function maxOutput(version: number, opus: boolean): number {
  if (version < 305) return 4096;
  if (version < 307) return 8192;
  return opus && version < 405 ? 32_000 : 64_000;
}
