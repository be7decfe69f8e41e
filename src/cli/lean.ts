/**
 * How a server's process begins: what V8 and glibc would keep beside the models' memory, several times of what it needs, they give back. One
 * thread sweeps a young generation this small in less CPU time than several that wait for each other.
 */
export const leanSettings = ['--max-semi-space-size=16', '--no-parallel-scavenge'];
export const leanEnvironment = { MALLOC_ARENA_MAX: '2', MALLOC_TRIM_THRESHOLD_: '131072' };

/**
 * From now on old objects may grow by a fifth before they are swept, and what is called often goes from the first compiler to the last: hundreds of
 * functions that reach the one between in the same moment hold 20 MB. Not before all is loaded: a start would sweep a dozen times, and what
 * Node brings compiled of itself is good for the settings that a process begins with.
 */
export async function settle(): Promise<void> {
  const { setFlagsFromString } = await import('node:v8');
  setFlagsFromString('--heap-growing-percent=20');
  setFlagsFromString('--no-maglev');
}

/**
 * Replace this process with the same program under these settings, unless it has them or the system cannot: they can be told only when a
 * process starts. No second process, 50 ms once.
 */
export function becomeLean(): void {
  const isLean = process.execArgv.some((argument) => argument.startsWith('--max-semi-space-size'));
  const [node, ...program] = process.argv;
  if (isLean || !process.execve || !node) return;
  const settings = [...leanSettings, '--disable-warning=ExperimentalWarning'];
  process.execve(node, [node, ...process.execArgv, ...settings, ...program], { ...leanEnvironment, ...process.env });
}
