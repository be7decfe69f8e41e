/** The program's log: one JSON object a line on standard error, secrets taken out. */
import { pino } from 'pino';
import { createTimeText } from '../lib/time-text.ts';
import { createLineWriter } from './lines.ts';
import { redact, redactText } from './redact.ts';

export type Write = (fields: object, message: string) => void;
export type Log = {
  debug: Write;
  info: Write;
  warn: Write;
  error: Write;
  /** The same as `info` for fields that cannot hold a secret: they are not searched for one. `message` needs no escapes. */
  plain: Write;
  /** From now on only this and worse. */
  setLevel(level: LogLevel): void;
};
export type LogLevel = 'debug' | 'info' | 'warn' | 'error' | 'silent';

/** Lines are written in the background, many at a time, so that no request waits for the disk or a slow reader. */
export function createLog(level: LogLevel): Log {
  const destination = createLineWriter(process.stderr.fd);
  const logger = pino({ level, base: null, timestamp: pino.stdTimeFunctions.isoTime }, destination);
  const write =
    (name: 'debug' | 'info' | 'warn' | 'error'): Write =>
    (fields, message) => {
      // Redacting costs: not for what nobody reads.
      if (logger.isLevelEnabled(name)) logger[name](redact(fields) as object, redactText(message));
    };
  // The same line as pino's, in a fifth of its time.
  const time = createTimeText((now) => new Date(now).toISOString());
  let isInfo = logger.isLevelEnabled('info');
  const plain: Write = (fields, message) => {
    if (!isInfo) return;
    destination.write(`{"level":30,"time":"${time()}",${JSON.stringify(fields).slice(1, -1)},"msg":"${message}"}\n`);
  };
  return {
    debug: write('debug'),
    info: write('info'),
    warn: write('warn'),
    error: write('error'),
    plain,
    setLevel(next) {
      logger.level = next;
      isInfo = logger.isLevelEnabled('info');
    },
  };
}
