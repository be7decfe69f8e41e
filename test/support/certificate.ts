/** A TLS certificate for tests, by the machine's openssl. */
import { execFileSync } from 'node:child_process';
import { renameSync } from 'node:fs';
import { join } from 'node:path';

export type Certificate = { key: string; cert: string };

/**
 * `key.pem` and `cert.pem` in `folder`, good for these host names for two days; each takes the place of an older one at
 * once. Gives their paths.
 */
export function makeCertificate(folder: string, ...names: [string, ...string[]]): Certificate {
  const paths = { key: join(folder, 'key.pem'), cert: join(folder, 'cert.pem') };
  const made = { key: join(folder, 'new-key.pem'), cert: join(folder, 'new-cert.pem') };
  const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'];
  const alternatives = `subjectAltName=${names.map((name) => `DNS:${name}`).join(',')}`;
  const subject = ['-subj', `/CN=${names[0]}`, '-addext', alternatives];
  execFileSync('openssl', ['req', '-x509', ...kind, ...subject, '-keyout', made.key, '-out', made.cert], {
    stdio: 'ignore',
  });
  renameSync(made.key, paths.key);
  renameSync(made.cert, paths.cert);
  return paths;
}
