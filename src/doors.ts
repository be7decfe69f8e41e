/** The doors opened: HTTP and WebSockets, on one address. */
import { createApp } from './api/app.ts';
import { listen } from './api/listen.ts';
import { attachResponsesWebSocket } from './api/openai/responses-websocket.ts';
import { attachNativeWebSocket } from './api/providers/websocket.ts';
import { refuseOpenBind } from './api/security.ts';
import type { Settings } from './config.ts';
import { listensOnLoopback, urlOf } from './lib/server-address.ts';
import type { Parts } from './parts.ts';
import { securityOptions } from './wiring.ts';

export type OpenDoors = {
  app: ReturnType<typeof createApp>;
  url: string;
  closeSockets(): void;
};

/** Throws where that would let strangers in, and when the address is taken. `address` stands in for the configured one. */
export async function openDoors(
  { services, doors, hasKeys }: Parts,
  settings: Settings,
  address?: { host: string; port: number },
): Promise<OpenDoors> {
  const { config, adminKey } = settings;
  const { host, port } = address ?? config.server;
  refuseOpenBind({
    loopback: listensOnLoopback(host),
    host,
    authMode: config.auth.mode,
    hasKey: adminKey !== undefined || hasKeys(),
  });
  const app = createApp(services, doors, securityOptions(settings, host));
  const sockets = [attachResponsesWebSocket(app.server, services), attachNativeWebSocket(app.server, services)];
  const openPort = await listen(app, host, port);
  return {
    app,
    url: urlOf({ scheme: config.server.tls ? 'https' : 'http', host, port: openPort, path: '' }),
    closeSockets() {
      for (const { close } of sockets) close();
    },
  };
}
