/** The time as `format` writes it (given milliseconds since 1970), made once a millisecond: many ask within one. */
export function createTimeText(format: (now: number) => string): () => string {
  let at = 0;
  let text = '';
  return () => {
    const now = Date.now();
    if (now !== at) {
      at = now;
      text = format(now);
    }
    return text;
  };
}
