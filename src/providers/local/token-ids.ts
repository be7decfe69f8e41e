import { ViaductError } from '../../core/errors.ts';

/**
 * Throws invalid_request when `ids`, which came in the field `param`, are not all tokens of a model that has
 * `vocabulary` of them.
 */
export function checkTokenIds(ids: readonly number[], vocabulary: number | undefined, param: string): void {
  const bad = ids.find((id) => id < 0 || id >= (vocabulary ?? Infinity));
  if (bad !== undefined && vocabulary !== undefined)
    throw new ViaductError(
      'invalid_request',
      `Invalid token in '${param}': ${bad}. The model's tokens are 0 to ${vocabulary - 1}.`,
      { param },
    );
}
