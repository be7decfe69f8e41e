/** Opening the port, and saying what to do when that fails. */
import type { AddressInfo } from 'node:net';
import type { FastifyInstance } from 'fastify';
import { ViaductError } from '../core/errors.ts';

/** Listen → the port, which the system chose where 0 was asked for. Throws conflict, permission_denied, invalid_request. */
export async function listen(app: FastifyInstance, host: string, port: number): Promise<number> {
  try {
    await app.listen({ host, port });
  } catch (error) {
    throw portProblem(error as NodeJS.ErrnoException, host, port);
  }
  return (app.server.address() as AddressInfo).port;
}

function portProblem(error: NodeJS.ErrnoException, host: string, port: number): ViaductError {
  const where = `${host}:${port}`;
  if (error.code === 'EADDRINUSE')
    return new ViaductError(
      'conflict',
      `${where} is taken, perhaps by Ollama or another Viaduct. Stop it, or choose another address: VIADUCT_HOST=127.0.0.1:11435`,
    );
  if (error.code === 'EACCES')
    return new ViaductError('permission_denied', `This user may not listen on ${where}. Choose a port above 1023.`);
  if (error.code === 'EADDRNOTAVAIL')
    return new ViaductError(
      'invalid_request',
      `${host} is no address of this machine. Correct VIADUCT_HOST or server.host.`,
    );
  return ViaductError.from(error);
}
