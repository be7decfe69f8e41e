/** How a server's process begins: what V8 and glibc would keep beside the models' memory, several times of what it needs, they give back. */
import { setFlagsFromString } from 'node:v8';

export const leanSettings = ['--max-semi-space-size=4'];
export const leanEnvironment = { MALLOC_ARENA_MAX: '2', MALLOC_TRIM_THRESHOLD_: '131072' };

/** From now on the heap grows in small steps. Not from the start on: while a program loads, each step is a collection for nothing. */
export const stayLean = () => setFlagsFromString('--heap-growing-percent=20');
