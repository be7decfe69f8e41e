/** Numbers within bounds, as GBNF. Written digit by digit, because a grammar cannot compare. */
import { anyOf, literal } from './rules.ts';

/** Inclusive unless said otherwise. */
export type Bounds = { min?: number; max?: number; exclusiveMin?: boolean; exclusiveMax?: boolean };

/** Fifteen digits stay exact in a double; more are only a small model's way to never end. */
const largest = 999_999_999_999_999n;
const fractionDigits = 12;
/** An exclusive bound of a fraction is moved by this much. */
const step = 1e-6;

/** Integers in the bounds; undefined when there is none. */
export function integerGrammar({ min, max, exclusiveMin, exclusiveMax }: Bounds): string | undefined {
  let low = min === undefined ? undefined : BigInt(Math.ceil(min));
  let high = max === undefined ? undefined : BigInt(Math.floor(max));
  if (low !== undefined && exclusiveMin && Number(low) === min) low += 1n;
  if (high !== undefined && exclusiveMax && Number(high) === max) high -= 1n;
  low ??= high !== undefined && high < -largest ? high * 10n : -largest;
  high ??= low > largest ? low * 10n : largest;
  if (low > high) return undefined;
  const options: string[] = [];
  if (low < 0n) {
    const nearest = high < -1n ? -high : 1n;
    options.push(`"-" ${naturals(nearest, -low)}`);
  }
  if (high >= 0n) options.push(naturals(low > 0n ? low : 0n, high));
  return anyOf(options);
}

/** Decimal numbers in the bounds; undefined when there is none. */
export function numberGrammar({ min, max, exclusiveMin, exclusiveMax }: Bounds): string | undefined {
  if (min === undefined && max === undefined)
    return `("-"? ("0" | [1-9] [0-9]{0,14}) ("." [0-9]{1,${fractionDigits}})? ([eE] [-+]? [0-9]{1,2})?)`;
  const low = min === undefined ? -Number(largest) : exclusiveMin ? min + step : min;
  const high = max === undefined ? Math.max(Number(largest), low) : exclusiveMax ? max - step : max;
  if (low > high) return undefined;
  const options: string[] = [];
  if (low < 0) {
    const magnitude = between(high < 0 ? -high : 0, -low);
    if (magnitude) options.push(`"-" ${magnitude}`);
  }
  if (high >= 0) {
    const magnitude = between(Math.max(low, 0), high);
    if (magnitude) options.push(magnitude);
  }
  return options.length ? anyOf(options) : undefined;
}

/** Numbers 0 ≤ low ≤ x ≤ high: whole intervals of one in the middle, digits of the bounds at the edges. */
function between(low: number, high: number): string | undefined {
  const [lowInteger, lowFraction] = split(low);
  const [highInteger, highFraction] = split(high);
  const options: string[] = [];
  if (lowInteger === highInteger) {
    const exact = fractionBetween(lowFraction, highFraction);
    if (exact === undefined) return undefined;
    options.push(`${literal(String(lowInteger))} ${exact}`);
    return anyOf(options);
  }
  const firstWhole = lowFraction ? lowInteger + 1n : lowInteger;
  if (lowFraction) options.push(`${literal(String(lowInteger))} ${fractionFrom(lowFraction)}`);
  if (firstWhole < highInteger)
    options.push(`${naturals(firstWhole, highInteger - 1n)} ("." [0-9]{1,${fractionDigits}})?`);
  options.push(`${literal(String(highInteger))} ${fractionTo(highFraction)}`);
  return anyOf(options);
}

/** Integer part and fraction digits without trailing zeros. */
function split(value: number): [bigint, string] {
  if (value >= 1e15) return [BigInt(Math.trunc(value)), ''];
  const [integer = '0', fraction = ''] = value.toFixed(fractionDigits).split('.');
  return [BigInt(integer), fraction.replace(/0+$/, '')];
}

/** `.d…` with a value of at most `.max`, or nothing at all. */
function fractionTo(max: string): string {
  if (!max) return '("." "0")?';
  const options: string[] = [];
  for (let i = 0; i < max.length; i++) {
    const head = max.slice(0, i);
    const digit = Number(max[i]);
    if (head) options.push(literal(head));
    if (digit > 0) options.push(`${literal(head)} [0-${digit - 1}] [0-9]{0,${fractionDigits - i - 1}}`);
  }
  options.push(literal(max));
  return `("." ${anyOf(options)})?`;
}

/** `.d…` with a value of at least `.min`, which is not zero. */
function fractionFrom(min: string): string {
  const options: string[] = [];
  for (let i = 0; i < min.length; i++) {
    const head = min.slice(0, i);
    const digit = Number(min[i]);
    if (digit < 9) options.push(`${literal(head)} [${digit + 1}-9] [0-9]{0,${fractionDigits - i - 1}}`);
  }
  options.push(`${literal(min)} [0-9]{0,${fractionDigits - min.length}}`);
  return `"." ${anyOf(options)}`;
}

/** `.d…` between two fractions, with as many digits as the bounds have, or two, or fewer. */
function fractionBetween(low: string, high: string): string | undefined {
  if (!low) return fractionTo(high);
  const options: string[] = [];
  for (let digits = 1; digits <= Math.max(low.length, high.length, 2); digits++) {
    const floor = BigInt(low.slice(0, digits).padEnd(digits, '0'));
    const from = low.length > digits ? floor + 1n : floor;
    const to = BigInt(high.slice(0, digits).padEnd(digits, '0'));
    const text = (value: bigint) => String(value).padStart(digits, '0');
    if (from <= to && text(from).length === digits) options.push(sameLength(text(from), text(to)));
  }
  return options.length > 0 ? `"." ${anyOf(options)}` : undefined;
}

/** Natural numbers from low to high, without leading zeros. */
function naturals(low: bigint, high: bigint): string {
  const allDigits = String(high).length;
  if (allDigits > 1 && low <= 1n && high === 10n ** BigInt(allDigits) - 1n)
    return low === 0n ? `("0" | [1-9] [0-9]{0,${allDigits - 1}})` : `([1-9] [0-9]{0,${allDigits - 1}})`;
  const options: string[] = [];
  for (let from = low; from <= high; ) {
    const text = String(from);
    const lastOfLength = 10n ** BigInt(text.length) - 1n;
    const to = lastOfLength < high ? lastOfLength : high;
    options.push(sameLength(text, String(to)));
    from = to + 1n;
  }
  return anyOf(options);
}

/** Digit strings between two of equal length, in order of value. */
function sameLength(low: string, high: string): string {
  if (low === high) return literal(low);
  if (/^0*$/.test(low) && /^9*$/.test(high)) return low.length === 1 ? '[0-9]' : `[0-9]{${low.length}}`;
  let same = 0;
  while (low[same] === high[same]) same++;
  const prefix = same ? `${literal(low.slice(0, same))} ` : '';
  const from = low.slice(same);
  const to = high.slice(same);
  if (from.length === 1) return `${prefix}[${from}-${to}]`;
  const rest = from.length - 1;
  let first = Number(from[0]);
  let last = Number(to[0]);
  const options: string[] = [];
  if (/[^0]/.test(from.slice(1))) {
    options.push(`${literal(String(first))} ${sameLength(from.slice(1), '9'.repeat(rest))}`);
    first++;
  }
  const partial = /[^9]/.test(to.slice(1));
  if (partial) last--;
  if (first <= last) options.push(`[${first}-${last}] [0-9]{${rest}}`);
  if (partial) options.push(`${literal(String(last + 1))} ${sameLength('0'.repeat(rest), to.slice(1))}`);
  return `${prefix}${anyOf(options)}`;
}
