/** For measured children: answers the parent's questions about CPU time and memory. */

export type Reading = { userMs: number; systemMs: number; residentMb: number };

export function answerReadings(): void {
  process.on('message', (question) => {
    if (question !== 'reading') return;
    const { user, system } = process.cpuUsage();
    const reading: Reading = {
      userMs: user / 1000,
      systemMs: system / 1000,
      residentMb: process.memoryUsage().rss / 2 ** 20,
    };
    if (process.env['VIADUCT_BENCH_MEMORY']) console.log(process.argv[1]?.split('/').at(-1), process.memoryUsage());
    process.send?.({ reading });
  });
}
