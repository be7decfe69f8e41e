/** The program's log: one JSON object a line on standard error, secrets taken out. */
import { pino } from 'pino';
import { redact } from './redact.ts';

export type Write = (fields: object, message: string) => void;
export type Log = {
  debug: Write;
  info: Write;
  warn: Write;
  error: Write;
  /** The same as `info` for fields that cannot hold a secret: they are not searched for one. For lines that every request writes. */
  plain: Write;
};
export type LogLevel = 'debug' | 'info' | 'warn' | 'error' | 'silent';

/** Bytes and milliseconds for which lines are gathered before they are written. */
const gatherBytes = 8192;
const gatherMs = 100;

/** Lines are written in the background, many at a time, so that no request waits for the disk or a slow reader. */
export function createLog(level: LogLevel): Log {
  const destination = pino.destination({ fd: 2, sync: false, minLength: gatherBytes });
  setInterval(() => destination.flush(), gatherMs).unref();
  const logger = pino({ level, base: null, timestamp: pino.stdTimeFunctions.isoTime }, destination);
  const write = (name: 'debug' | 'info' | 'warn' | 'error'): Write =>
    logger.isLevelEnabled(name) ? (fields, message) => logger[name](redact(fields) as object, message) : () => {};
  // The same line as pino's, in a third of its time.
  const plain: Write = (fields, msg) => {
    destination.write(`${JSON.stringify({ level: 30, time: new Date(), ...fields, msg })}\n`);
  };
  return {
    debug: write('debug'),
    info: write('info'),
    warn: write('warn'),
    error: write('error'),
    plain: logger.isLevelEnabled('info') ? plain : () => {},
  };
}
