/**
 * How a server's process begins: what V8 and glibc would keep beside the models' memory, several times of what it needs, they give back. One
 * thread sweeps a young generation this small in less CPU time than several that wait for each other.
 */
export const leanSettings = ['--max-semi-space-size=8', '--no-parallel-scavenge', '--heap-growing-percent=20'];
export const leanEnvironment = { MALLOC_ARENA_MAX: '2', MALLOC_TRIM_THRESHOLD_: '131072' };
