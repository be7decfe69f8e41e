/** The model that a client of a provider's WebSocket names in its first message, where the address has none: Gemini Live's `setup`. */

const longestSetup = 64 * 1024;
/** Behind `models/` there is the name, whatever project and publisher stand before it. */
const named = /"model"\s*:\s*"(?:[^"\\]{0,300}models\/)?([^"\\/]{1,200})"/;

/** Reads the bytes that a client sends until the model is known or the first frame over. Frames of a client are masked: RFC 6455, 5.3. */
export function createModelReader(): (chunk: Buffer) => string | undefined {
  let pending: Buffer | undefined = Buffer.alloc(0);
  return (chunk) => {
    if (!pending) return undefined;
    pending = Buffer.concat([pending, chunk]);
    const header = headerOf(pending);
    if (!header) return undefined;
    const { start, length } = header;
    const mask = pending.subarray(start, start + 4);
    const content = Buffer.from(pending.subarray(start + 4, start + 4 + Math.min(length, longestSetup)));
    for (let at = 0; at < content.length; at++) content[at] = (content[at] ?? 0) ^ (mask[at & 3] ?? 0);
    const model = named.exec(content.toString('latin1'))?.[1];
    if (model !== undefined || content.length === Math.min(length, longestSetup)) pending = undefined;
    return model;
  };
}

/** Where the mask of a frame begins, and how long its content is; undefined until that is there. */
function headerOf(bytes: Buffer): { start: number; length: number } | undefined {
  const short = (bytes[1] ?? 0) & 0x7f;
  const start = short < 126 ? 2 : short === 126 ? 4 : 10;
  if (bytes.length < start + 4) return undefined;
  if (short < 126) return { start, length: short };
  return { start, length: short === 126 ? bytes.readUInt16BE(2) : Number(bytes.readBigUInt64BE(2)) };
}
