/** viaduct show — what a model is. */
import type { JsonObject } from '../core/json.ts';
import { type Command, jsonOption, type Options } from './define.ts';
import { table } from './table.ts';

type Shown = {
  license?: string;
  modelfile: string;
  parameters?: string;
  template: string;
  system?: string;
  details: { family: string; parameter_size: string; quantization_level: string };
  model_info: JsonObject;
  projector_info?: JsonObject;
  capabilities: string[];
  digest?: string;
  /** Tokens; in force, or what it will be when it is loaded. */
  context_length?: number;
};

const parts: Record<string, (shown: Shown) => string | undefined> = {
  modelfile: (shown) => shown.modelfile,
  parameters: (shown) => shown.parameters,
  template: (shown) => shown.template,
  system: (shown) => shown.system,
  license: (shown) => shown.license,
};

export const show: Command = {
  usage: 'show <name>',
  summary: 'Show what a model is',
  options: [
    ['--modelfile', 'print its Modelfile'],
    ['--parameters', 'print its parameters'],
    ['--template', 'print its prompt template'],
    ['--system', 'print its system message'],
    ['--license', 'print its licence'],
    ['-v, --verbose', 'all metadata of the weights'],
    jsonOption,
  ],
  async run([model = ''], options, io) {
    const client = await io.connect();
    const shown = await client.json<Shown>('POST', '/api/show', { model, verbose: options['verbose'] === true });
    if (options['json']) return io.out(JSON.stringify(shown));
    const asked = Object.keys(parts).filter((part) => options[part]);
    const texts = asked.length > 0 ? asked.map((part) => parts[part]?.(shown) ?? '') : overview(shown, options);
    for (const text of texts) io.out(text);
  },
};

function overview(shown: Shown, { verbose }: Options): string[] {
  const { details, model_info: info, capabilities, parameters, system, license, digest, context_length } = shown;
  const family = String(info['general.architecture'] ?? details.family);
  const fact = (key: string) => String(info[`${family}.${key}`] ?? '');
  const facts = [
    ['architecture', family],
    ['parameters', details.parameter_size],
    ['context length', String(context_length ?? fact('context_length'))],
    ['trained context', fact('context_length')],
    ['embedding length', fact('embedding_length')],
    ['quantization', details.quantization_level],
    ['digest', digest ?? ''],
  ].filter(([, value]) => value !== '');
  const section = (title: string, lines: string[]) =>
    lines.length > 0 ? [`  ${title}`, ...lines.map((line) => `    ${line}`), ''] : [];
  return [
    ...section('Model', table(facts)),
    ...section('Capabilities', capabilities),
    ...section('Parameters', parameters?.split('\n') ?? []),
    ...section('System', system?.split('\n').slice(0, 2) ?? []),
    ...section('License', license?.split('\n').slice(0, 2) ?? []),
    ...(verbose ? section('Metadata', table(Object.entries(info).map(([key, value]) => [key, short(value)]))) : []),
  ];
}

function short(value: JsonObject[string] | undefined): string {
  const text = JSON.stringify(value) ?? '';
  return text.length > 100 ? `${text.slice(0, 100)}…` : text;
}
