/** The program's log: one JSON object a line on standard error, secrets taken out. */
import { pino } from 'pino';
import { redact } from './redact.ts';

export type Write = (fields: object, message: string) => void;
export type Log = {
  debug: Write;
  info: Write;
  warn: Write;
  error: Write;
  /** The same as `info` for fields that cannot hold a secret: they are not searched for one. */
  plain: Write;
};
export type LogLevel = 'debug' | 'info' | 'warn' | 'error' | 'silent';

/** Lines are written in the background, so that no request waits for the disk or a slow reader. */
export function createLog(level: LogLevel): Log {
  const destination = pino.destination({ fd: 2, sync: false, minLength: 0 });
  const logger = pino({ level, base: null, timestamp: pino.stdTimeFunctions.isoTime }, destination);
  const write = (name: 'debug' | 'info' | 'warn' | 'error'): Write =>
    logger.isLevelEnabled(name) ? (fields, message) => logger[name](redact(fields) as object, message) : () => {};
  const plain: Write = logger.isLevelEnabled('info') ? (fields, message) => logger.info(fields, message) : () => {};
  return { debug: write('debug'), info: write('info'), warn: write('warn'), error: write('error'), plain };
}
