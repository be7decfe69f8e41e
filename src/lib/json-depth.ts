const quote = 0x22;
const backslash = 0x5c;

/**
 * Whether JSON text nests objects and arrays deeper than `limit`, found before it is parsed: code that walks a value calls
 * itself once a level, and a small body can be deep enough to end the stack. Text that is not JSON gives either answer.
 */
export function isDeeperThan(json: Buffer, limit: number): boolean {
  // Every level takes two bytes.
  if (json.length < 2 * limit) return false;
  let depth = 0;
  for (let at = 0; at < json.length; at++) {
    const byte = json[at];
    if (byte === quote) {
      at = endOfString(json, at);
      if (at === -1) return false;
    }
    // Braces and brackets differ in one bit: with it taken out, one comparison serves both.
    else if (byte !== undefined && (byte & 0xdf) === 0x5b) {
      if (++depth > limit) return true;
    } else if (byte !== undefined && (byte & 0xdf) === 0x5d) depth--;
  }
  return false;
}

/** Index of the quote that ends the string which begins at `start`; -1 when none does. */
function endOfString(json: Buffer, start: number): number {
  for (let end = json.indexOf(quote, start + 1); end !== -1; end = json.indexOf(quote, end + 1)) {
    let slashes = 0;
    while (json[end - 1 - slashes] === backslash) slashes++;
    if (slashes % 2 === 0) return end;
  }
  return -1;
}
