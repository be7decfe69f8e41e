/** The lines of relayed bytes that a scanner wants to read, found without reading the others. */

export type LineWatcher = {
  push(chunk: Buffer): void;
  /** What came after the last line end; with `whole` set from the beginning, everything. */
  rest(): string;
  tooLarge(): boolean;
};

export type LineWatcherOptions = {
  /** Global. Matches in the lines worth reading, and never in what a model says: a quote inside JSON text is escaped. */
  interesting: RegExp;
  /** While true every line is read. */
  all(): boolean;
  /** Nothing is cut into lines; all is kept for `rest`: the reply is one JSON body. */
  whole(): boolean;
  read(line: string): void;
};

const longest = 64 * 2 ** 20;

/** Works over chunk borders. Bytes are held as latin1, one character a byte, which is the cheapest to search. */
export function createLineWatcher({ interesting, all, whole, read }: LineWatcherOptions): LineWatcher {
  let pieces: string[] = [];
  let size = 0;

  const keep = (bytes: string) => {
    pieces.push(bytes);
    size += bytes.length;
  };
  const take = (bytes: string) => {
    if (pieces.length === 0) return bytes;
    const joined = pieces.join('') + bytes;
    pieces = [];
    size = 0;
    return joined;
  };

  const readEvery = (bytes: string) => {
    for (const line of decodeUtf8(bytes).split(lineEnd)) read(line);
  };
  const readSome = (bytes: string) => {
    interesting.lastIndex = 0;
    for (let found = interesting.exec(bytes); found; found = interesting.exec(bytes)) {
      const from = bytes.lastIndexOf('\n', found.index) + 1;
      const to = bytes.indexOf('\n', found.index);
      const end = to === -1 ? bytes.length : to;
      read(decodeUtf8(bytes.slice(from, end)).trimEnd());
      interesting.lastIndex = end;
    }
  };

  return {
    push(chunk) {
      const bytes = chunk.toString('latin1');
      const complete = whole() ? 0 : bytes.lastIndexOf('\n') + 1;
      if (complete > 0) {
        const lines = take(complete === bytes.length ? bytes : bytes.slice(0, complete));
        if (all()) readEvery(lines);
        else readSome(lines);
      }
      if (complete < bytes.length) keep(bytes.slice(complete));
    },
    rest: () => decodeUtf8(take('')),
    tooLarge: () => size > longest,
  };
}

const lineEnd = /\r\n|\n|\r/;
const decodeUtf8 = (bytes: string) => Buffer.from(bytes, 'latin1').toString('utf8');
