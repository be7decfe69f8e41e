/** Pictures of coloured shapes, as the vision models of ../shared/models/vision know them. */
import { crc32, deflateSync } from 'node:zlib';

export const colours = {
  red: [255, 0, 0],
  green: [0, 128, 0],
  blue: [0, 0, 255],
  yellow: [255, 255, 0],
  purple: [128, 0, 128],
  orange: [255, 165, 0],
  black: [0, 0, 0],
} as const;
export const shapes = ['circle', 'square', 'triangle'] as const;
export type Colour = keyof typeof colours;
export type Shape = (typeof shapes)[number];

const side = 64;
const radius = 19;

/** A large shape in the middle of a white square of 64 × 64 pixels, as a PNG. */
export function drawShape(colour: Colour, shape: Shape): Buffer {
  const rows = Buffer.alloc(side * (1 + side * 3), 255);
  for (let y = 0; y < side; y++) {
    rows[y * (1 + side * 3)] = 0; // no filter
    for (let x = 0; x < side; x++)
      if (isInside(shape, x + 0.5 - side / 2, y + 0.5 - side / 2))
        rows.set(colours[colour], y * (1 + side * 3) + 1 + x * 3);
  }
  return pngOf({ width: side, height: side, bits: 8, colour: 2 }, deflateSync(rows));
}

/** A PNG around rows that are already compressed. `colour`: 0 is grey, 2 is RGB. Source: https://www.w3.org/TR/png-3/ */
export function pngOf(form: { width: number; height: number; bits: number; colour: number }, rows: Buffer): Buffer {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(form.width, 0);
  header.writeUInt32BE(form.height, 4);
  header.set([form.bits, form.colour, 0, 0, 0], 8);
  const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  return Buffer.concat([signature, chunk('IHDR', header), chunk('IDAT', rows), chunk('IEND', Buffer.alloc(0))]);
}

function isInside(shape: Shape, x: number, y: number): boolean {
  if (shape === 'circle') return Math.hypot(x, y) < radius;
  if (shape === 'square') return Math.max(Math.abs(x), Math.abs(y)) < radius * 0.88;
  return y < radius * 0.6 && 0.866 * Math.abs(x) - 0.5 * y < radius * 0.55;
}

function chunk(type: string, data: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), data]);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(data.length);
  const sum = Buffer.alloc(4);
  sum.writeUInt32BE(crc32(body));
  return Buffer.concat([length, body, sum]);
}
