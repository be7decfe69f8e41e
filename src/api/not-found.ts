/** Paths and methods that no endpoint has, refused in the words of the door they were meant for. */
import { ViaductError } from '../core/errors.ts';
import type { FrontDoor } from './define.ts';

export type Refusal = { door: FrontDoor; error: ViaductError };

/**
 * For a request that matched no route: 405 with `allow` when the path is there for other methods, else 404. The door is the one
 * whose paths share most with the asked one; the first of `doors` when none does.
 */
export function createRefusal(doors: FrontDoor[]): (method: string, url: string) => Refusal {
  const routes = doors.flatMap((door) =>
    door.endpoints.map(({ method, path }) => ({
      door,
      method,
      path,
      segments: path.split('/'),
      pattern: patternOf(path),
    })),
  );

  /**
   * The endpoint whose name ends the path, below another base: `/chat/completions`, `/api/v1/chat/completions`, Azure's
   * `/openai/deployments/NAME/…`.
   */
  const meantBy = (path: string, asked: string) => {
    const tail = path.replace(/\/+$/, '');
    return routes.find(({ method, segments: [, , ...below] }) => {
      const name = below.join('/');
      return method === asked && name !== '' && !/[:*]/.test(name) && tail.endsWith(`/${name}`);
    })?.path;
  };

  return (method, url) => {
    const path = url.split('?', 1)[0] ?? url;
    const matching = routes.filter(({ pattern }) => pattern.test(path));
    if (matching[0]) {
      const allow = [...new Set(matching.map((route) => route.method))].join(', ');
      const message = `${method} is not allowed on ${path}; allowed: ${allow}.`;
      return {
        door: matching[0].door,
        error: new ViaductError('method_not_allowed', message, { headers: { allow } }),
      };
    }
    const asked = path.split('/');
    let best: { door: FrontDoor | undefined; shared: number } = { door: doors[0], shared: 1 };
    for (const { door, segments } of routes) {
      const differs = segments.findIndex((segment, at) => segment !== asked[at]);
      const shared = differs === -1 ? segments.length : differs;
      if (shared > best.shared) best = { door, shared };
    }
    const meant = meantBy(path, method);
    const hint = meant === undefined ? '' : ` Did you mean ${meant}? Then correct the client's base URL.`;
    const error = new ViaductError('not_found', `There is nothing at ${method} ${path}.${hint}`);
    return { door: best.door as FrontDoor, error };
  };
}

function patternOf(path: string): RegExp {
  const source = path
    .split('/')
    .map((segment) =>
      segment.startsWith(':') ? '[^/]+' : segment.replace(/[.+?^${}()|[\]\\]/g, '\\$&').replace('*', '.*'),
    )
    .join('/');
  return new RegExp(`^${source}/?$`);
}
