/** `router_settings`: strategy, fallbacks and aliases. Source: https://docs.litellm.ai/docs/routing */
import type { Group, Note } from './deployments.ts';
import { type Fields, fields } from './values.ts';

const strategies: Record<string, string> = {
  'simple-shuffle': 'weighted',
  'least-busy': 'least-busy',
  'latency-based-routing': 'latency',
  'cost-based-routing': 'cost',
  'usage-based-routing': 'least-busy',
  'usage-based-routing-v2': 'least-busy',
};

/** For groups of several targets; before the fallbacks are added. */
export function setStrategy(router: Fields, groups: Map<string, Group>, note: Note): void {
  const strategy = strategies[String(router['routing_strategy'] ?? 'simple-shuffle')];
  if (!strategy)
    note(`router_settings.routing_strategy "${router['routing_strategy']}" has no equal; "ordered" is used.`);
  for (const group of groups.values()) {
    if (group.targets.length < 2) continue;
    group.strategy = strategy ?? 'ordered';
    if (group.targets.every(({ order }) => order === undefined)) continue;
    group.strategy = 'ordered';
    group.targets.sort((a, b) => (a.order ?? Infinity) - (b.order ?? Infinity));
  }
}

const list = (value: unknown): unknown[] => (Array.isArray(value) ? value : value === undefined ? [] : [value]);

/** Fallbacks become further targets. */
export function addFallbacks(router: Fields, groups: Map<string, Group>, note: Note): void {
  for (const kind of ['fallbacks', 'context_window_fallbacks', 'content_policy_fallbacks'])
    for (const rule of list(router[kind]))
      for (const [name, names] of Object.entries(fields(rule))) {
        const group = groups.get(name);
        if (name === '*') addToAll(list(names), groups, note);
        else if (group) addRule(kind, name, group, list(names), groups, note);
        else note(`${kind}: "${name}" is not in model_list.`);
      }
  addToAll(list(router['default_fallbacks']), groups, note);
}

function addToAll(others: unknown[], groups: Map<string, Group>, note: Note): void {
  if (others.length === 0) return;
  for (const [name, group] of groups) {
    group.strategy ??= 'ordered';
    addTargets(
      group,
      others.filter((other) => other !== name),
      groups,
      note,
    );
  }
}

function addRule(kind: string, name: string, group: Group, names: unknown[], groups: Map<string, Group>, note: Note) {
  group.strategy ??= 'ordered';
  if (kind === 'content_policy_fallbacks') group.contentFilter = true;
  if (group.strategy !== 'ordered' && group.strategy !== 'weighted')
    note(`${name}: with strategy ${group.strategy} its fallbacks are targets like the others.`);
  addTargets(group, names, groups, note);
}

function addTargets(group: Group, names: unknown[], groups: Map<string, Group>, note: Note): void {
  for (const name of names) {
    const other = groups.get(String(name));
    if (!other) note(`A fallback to "${name}" was left out: it is not in model_list.`);
    for (const target of other?.targets ?? []) {
      if (group.targets.some(({ to }) => to === target.to)) continue;
      // Weight 0: never drawn before the group's own targets.
      group.targets.push(group.strategy === 'weighted' ? { ...target, weight: 0 } : target);
    }
  }
}

/** Another name of the same group. */
export function addAliases(router: Fields, groups: Map<string, Group>, note: Note): void {
  for (const [alias, name] of Object.entries(fields(router['model_group_alias']))) {
    const group = groups.get(String(typeof name === 'object' ? fields(name)['model'] : name));
    if (group) groups.set(alias, group);
    else note(`model_group_alias: "${alias}" names a model that is not in model_list.`);
  }
}
