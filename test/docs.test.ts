/** What README.md and docs/ say of the configuration is true, and their links lead somewhere. */
import assert from 'node:assert/strict';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { jsonSchema, parseConfig } from '../src/config.ts';

const root = join(import.meta.dirname, '..');
const pages = globSync(['*.md', 'docs/*.md', 'bench/*.md'], { cwd: root });
const textOf = (page: string) => readFileSync(join(root, page), 'utf8');

type Schema = { properties?: Record<string, Schema>; anyOf?: Schema[]; additionalProperties?: Schema | boolean };

/** Names of all settings below, those of free names (`models.fast`) included. */
function settingsIn(schema: Schema): string[] {
  const inner = Object.entries(schema.properties ?? {}).flatMap(([name, below]) => [name, ...settingsIn(below)]);
  const free = typeof schema.additionalProperties === 'object' ? settingsIn(schema.additionalProperties) : [];
  return [...inner, ...free, ...(schema.anyOf ?? []).flatMap(settingsIn)];
}

const { providers = {}, ...sections } = (jsonSchema() as Schema).properties ?? {};

for (const [page, settings] of [
  ['docs/configuration.md', [...Object.keys(sections), ...settingsIn({ properties: sections })]],
  ['docs/providers.md', settingsIn(providers)],
] as const)
  test(`${page} names every setting`, () => {
    const text = textOf(page);
    const words = new Set(text.match(/[a-z_]+/g));
    assert.deepEqual(
      settings.filter((name) => !words.has(name)),
      [],
    );
  });

for (const page of pages)
  for (const [, example = ''] of textOf(page).matchAll(/^```yaml\n(.*?)^```/gms))
    test(`${page}: ${example.split('\n', 1)[0]} … is a configuration`, () => {
      const names = [...example.matchAll(/\$\{(\w+)/g)].map(([, name = '']) => [name, 'key']);
      parseConfig(example, page, Object.fromEntries(names));
    });

for (const page of pages)
  test(`the links of ${page}`, () => {
    for (const [, target = ''] of textOf(page).matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^https?:/.test(target)) continue;
      const [path = '', anchor] = target.split('#');
      const file = path === '' ? page : join(dirname(page), path);
      assert.ok(existsSync(join(root, file)), target);
      if (anchor !== undefined) assert.ok(anchorsIn(textOf(file)).includes(anchor), target);
    }
  });

/** As GitHub makes them. */
const anchorsIn = (text: string) =>
  [...text.matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\w\s-]/g, '')
      .replaceAll(' ', '-'),
  );
