/** What the readers of call syntaxes have in common. */
import type { Json } from '../../../core/json.ts';

/** A call as written. `input` is what the arguments parsed to, or their text where they did not parse. */
export type FoundCall = { name: string; input: Json };

/**
 * What a reader makes of the text from its marker on: calls that end at `end`; `wait` for more; `no` when it is no call;
 * `broken` when it began as a call, up to `end`, and cannot be read.
 */
export type Reading =
  | { state: 'calls'; calls: FoundCall[]; end: number }
  | { state: 'wait' }
  | { state: 'no' }
  | { state: 'broken'; end: number };

export type Known = {
  isTool: (name: string) => boolean;
  couldBeTool: (prefix: string) => boolean;
  /** Nothing has been said yet: JSON in the shape of a call is one, whatever it calls. */
  readonly opening: boolean;
};

export type Syntax = {
  /** What the call begins with. */
  marker: string;
  /** `text` begins with the marker; `ended` means that nothing will follow. */
  read(text: string, known: Known, ended: boolean): Reading;
};

export const wait: Reading = { state: 'wait' };
export const no: Reading = { state: 'no' };

/** It began as a call and cannot be read up to `end`. */
export const broken = (end: number): Reading => ({ state: 'broken', end });

/** A call that is not whole: broken when nothing will follow. */
export const unfinished = (text: string, ended: boolean): Reading => (ended ? broken(text.length) : wait);

/** What may become a call: none when nothing will follow. */
export const undecided = (ended: boolean): Reading => (ended ? no : wait);
