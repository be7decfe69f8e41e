/** What kind of image some bytes are, and how many pixels, from the header alone. */

export type ImageHeader = {
  mediaType: 'image/png' | 'image/jpeg' | 'image/gif' | 'image/webp';
  width: number;
  height: number;
};

/** Undefined for anything that is not a PNG, JPEG, GIF or WebP with a whole header. */
export function readImageHeader(bytes: Buffer): ImageHeader | undefined {
  try {
    if (bytes.readUInt32BE(0) === 0x89504e47)
      return { mediaType: 'image/png', width: bytes.readUInt32BE(16), height: bytes.readUInt32BE(20) };
    if (bytes.readUInt16BE(0) === 0xffd8) return jpeg(bytes);
    if (/^GIF8[79]a/.test(bytes.toString('latin1', 0, 6)))
      return { mediaType: 'image/gif', width: bytes.readUInt16LE(6), height: bytes.readUInt16LE(8) };
    if (bytes.toString('latin1', 0, 4) === 'RIFF' && bytes.toString('latin1', 8, 12) === 'WEBP') return webp(bytes);
  } catch {
    // Shorter than its header says.
  }
  return undefined;
}

/** Source: ITU-T T.81, annex B. */
function jpeg(bytes: Buffer): ImageHeader | undefined {
  for (let at = 2; ; ) {
    while (bytes.readUInt8(at) === 0xff) at++;
    const marker = bytes.readUInt8(at++);
    const isFrame = marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker);
    if (isFrame)
      return { mediaType: 'image/jpeg', width: bytes.readUInt16BE(at + 5), height: bytes.readUInt16BE(at + 3) };
    if (marker === 0xd9 || marker === 0xda) return undefined;
    at += bytes.readUInt16BE(at);
  }
}

/** Source: RFC 9649. */
function webp(bytes: Buffer): ImageHeader | undefined {
  const mediaType = 'image/webp';
  switch (bytes.toString('latin1', 12, 16)) {
    case 'VP8 ':
      return { mediaType, width: bytes.readUInt16LE(26) & 0x3fff, height: bytes.readUInt16LE(28) & 0x3fff };
    case 'VP8L': {
      const bits = bytes.readUInt32LE(21);
      return { mediaType, width: (bits & 0x3fff) + 1, height: ((bits >>> 14) & 0x3fff) + 1 };
    }
    case 'VP8X':
      return { mediaType, width: bytes.readUIntLE(24, 3) + 1, height: bytes.readUIntLE(27, 3) + 1 };
    default:
      return undefined;
  }
}
