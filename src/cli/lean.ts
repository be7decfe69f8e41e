/**
 * How a server's process begins: what V8 and glibc would keep beside the models' memory, several times of what it needs, they give back. One
 * thread sweeps a young generation this small in less CPU time than several that wait for each other.
 */
export const leanSettings = ['--max-semi-space-size=8', '--no-parallel-scavenge'];
export const leanEnvironment = { MALLOC_ARENA_MAX: '2', MALLOC_TRIM_THRESHOLD_: '131072' };

/** From now on old objects may grow by a fifth before they are swept. Not before all is loaded: a start would sweep a dozen times. */
export async function growSlowly(): Promise<void> {
  const { setFlagsFromString } = await import('node:v8');
  setFlagsFromString('--heap-growing-percent=20');
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
