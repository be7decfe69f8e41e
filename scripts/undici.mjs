/**
 * undici as the build takes it: only what the program uses. The rest (fetch, WebSocket, caches, mocks) is half of its source and would be loaded
 * at every start. The build fails when the program imports something that is not here.
 */
import api from 'undici/lib/api/index.js';
import Agent from 'undici/lib/dispatcher/agent.js';
import Dispatcher from 'undici/lib/dispatcher/dispatcher.js';
import EnvHttpProxyAgent from 'undici/lib/dispatcher/env-http-proxy-agent.js';
import Pool from 'undici/lib/dispatcher/pool.js';
import { getGlobalDispatcher } from 'undici/lib/global.js';
import redirect from 'undici/lib/interceptor/redirect.js';

Object.assign(Dispatcher.prototype, api);

export { Agent, EnvHttpProxyAgent, Pool };
export const interceptors = { redirect };
export const request = (url, { dispatcher = getGlobalDispatcher(), method = 'GET', ...options }) => {
  const { origin, pathname, search } = new URL(url);
  return dispatcher.request({ ...options, method, origin, path: `${pathname}${search}` });
};
