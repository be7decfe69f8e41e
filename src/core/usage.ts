/** Token counts of one call. `input` and `output` are totals; the others are parts of them. */
export type Usage = {
  input: number;
  output: number;
  /** Part of `input` that was read from a prompt cache. */
  cacheRead?: number;
  /** Part of `input` that was written to a prompt cache. */
  cacheWrite?: number;
  /** Part of `output` that was thought and not said. */
  reasoning?: number;
  /** Part of `input` that pictures took. */
  image?: number;
  /** USD that the provider itself says it charges for the call. */
  cost?: number;
};
