/** GGUF files: what their header says. */
import type { Json } from '../core/json.ts';

/** What the header of a GGUF file says. */
export type GgufInfo = {
  /** `llama`, `qwen2`, `bert`, `clip` (a projector), … */
  architecture: string;
  /** `general.name`. */
  name?: string;
  /** Context length the model was trained with, tokens. Absent for projectors. */
  contextLength?: number;
  embeddingLength?: number;
  blockCount?: number;
  headCount?: number;
  headCountKv?: number;
  /** Width of one key and one value head. */
  keyLength?: number;
  valueLength?: number;
  vocabularySize?: number;
  parameterCount: number;
  /** `Q4_K_M`. */
  quantization: string;
  /** Jinja. */
  chatTemplate?: string;
  /** Bytes. */
  fileSize: number;
  /** All key-value pairs; an array longer than 64 entries is null. */
  metadata: Record<string, Json>;
};
