import type { Capability } from '../core/provider.ts';
import type { GgufInfo } from './gguf.ts';

/** `pooling_type` of a model that scores pairs of texts. Source: llama.h, LLAMA_POOLING_TYPE_RANK. */
const rankPooling = 4;

/**
 * What a model can do, told from its weights' header, its prompt template (Go or Jinja) and its image encoder.
 * A model that pools its output embeds (or ranks) and does not complete.
 */
export function capabilitiesOf(gguf: GgufInfo, template: string | undefined, hasProjector: boolean): Capability[] {
  const { architecture, metadata, chatTemplate, middleMarks } = gguf;
  const pooling = metadata[`${architecture}.pooling_type`];
  if (pooling === rankPooling) return ['rerank'];
  if (pooling !== undefined || metadata[`${architecture}.attention.causal`] === false) return ['embedding'];

  const prompt = template ?? chatTemplate ?? '';
  const capabilities: Capability[] = ['completion'];
  if (hasProjector || metadata[`${architecture}.vision.block_count`] !== undefined) capabilities.push('vision');
  if (/\.Tools\b|\btools\b/.test(prompt)) capabilities.push('tools');
  if (middleMarks || /\.Suffix\b/.test(prompt)) capabilities.push('insert');
  if (/\.Thinking\b|\bthinking\b|enable_thinking|reasoning_content|<think>/.test(prompt)) capabilities.push('thinking');
  return capabilities;
}
