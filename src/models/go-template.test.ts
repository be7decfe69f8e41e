import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compileGoTemplate, GoTemplateError } from './go-template.ts';

const render = (source: string, data: Record<string, unknown> = {}) => compileGoTemplate(source).render(data);

const messages = [
  { Role: 'system', Content: 'Be brief.' },
  { Role: 'user', Content: 'Hi' },
  { Role: 'assistant', Content: '', ToolCalls: [{ Function: { Name: 'f', Arguments: { x: 1 } } }] },
  { Role: 'tool', Content: '42' },
];

const cases: [source: string, data: Record<string, unknown>, expected: string][] = [
  ['{{ .System }} {{ .Prompt }}', { System: 'S', Prompt: 'P' }, 'S P'],
  ['a {{- " b " -}} c', {}, 'a b c'],
  ['{{ if .System }}S{{ else if .Prompt }}P{{ else }}-{{ end }}', { Prompt: 'x' }, 'P'],
  ['{{ if and .A (not .B) }}yes{{ end }}', { A: 1 }, 'yes'],
  ['{{ or .A .B "none" }}', {}, 'none'],
  ['{{ and 1 0 2 }}', {}, '0'],
  ['{{ range $i, $m := .L }}{{ if $i }},{{ end }}{{ $m }}{{ else }}empty{{ end }}', { L: ['a', 'b'] }, 'a,b'],
  ['{{ range .L }}{{ . }}{{ else }}empty{{ end }}', { L: [] }, 'empty'],
  [
    '{{ range .L }}{{ if eq . 2 }}{{ continue }}{{ end }}{{ if eq . 4 }}{{ break }}{{ end }}{{ . }}{{ end }}',
    { L: [1, 2, 3, 4, 5] },
    '13',
  ],
  ['{{ with .X }}{{ .Y }}{{ else }}none{{ end }}', { X: { Y: 'y' } }, 'y'],
  ['{{ $n := 1 }}{{ range .L }}{{ $n = . }}{{ end }}{{ $n }}', { L: [7, 8] }, '8'],
  ['{{ $last := eq (len (slice .L 1)) 1 }}{{ $last }}', { L: [1, 2] }, 'true'],
  ['{{ (index .L 1).Name }}', { L: [{}, { Name: 'n' }] }, 'n'],
  ['{{ index .M "k" }}', { M: { k: 'v' } }, 'v'],
  ['{{ json .O }} {{ .O }}', { O: { a: [1, 'x'] } }, '{"a":[1,"x"]} {"a":[1,"x"]}'],
  ['{{ printf "%s-%d-%q-%5.2f%%" "a" 3 "b" 1.5 }}', {}, 'a-3-"b"- 1.50%'],
  ['{{ "x" | printf "%s%s" "y" }}', {}, 'yx'],
  ['{{ ne .A "a" }} {{ lt 1 2 }} {{ ge 2 3 }} {{ eq .A "b" "c" }}', { A: 'c' }, 'true true false true'],
  ['{{/* a comment */}}{{- /* }} */ -}}x', {}, 'x'],
  ['{{ `raw "}}"` }}{{ "esc\\n\\u00e9" }}', {}, 'raw "}}"esc\né'],
  ['{{ define "t" }}<{{ . }}>{{ end }}{{ template "t" .A }}', { A: 'z' }, '<z>'],
  ['{{ $.A }}{{ range .L }}{{ $.A }}{{ end }}', { A: 'r', L: [1] }, 'rr'],
  ['{{ .Missing }}|{{ .Missing.Deeper }}', {}, '|'],
  ['{{ slice "hello" 1 3 }}', {}, 'el'],
];

for (const [source, data, expected] of cases)
  test(`${source} → ${expected}`, () => assert.equal(render(source, data), expected));

test('a whole chat template with tools', () => {
  const source = `{{- range $i, $_ := .Messages }}
{{- $last := eq (len (slice $.Messages $i)) 1 -}}
<|{{ .Role }}|>{{ .Content }}
{{- range .ToolCalls }}<call>{"name": "{{ .Function.Name }}", "arguments": {{ json .Function.Arguments }}}</call>{{ end }}
{{- if $last }}<|assistant|>{{ end }}
{{- end }}`;
  assert.equal(
    render(source, { Messages: messages }),
    '<|system|>Be brief.<|user|>Hi<|assistant|><call>{"name": "f", "arguments": {"x":1}}</call><|tool|>42<|assistant|>',
  );
});

test('takes functions from outside', () => {
  const template = compileGoTemplate('{{ currentDate }}{{ range .L }}{{ currentDate }}{{ end }}');
  assert.equal(template.render({ L: [1] }, { currentDate: () => 'today' }), 'todaytoday');
});

test('says which fields it uses', () => {
  const template = compileGoTemplate('{{ range .Messages }}{{ .Content }}{{ end }}');
  assert.ok(template.uses('Messages'));
  assert.ok(!template.uses('Tools'));
});

for (const source of [
  '{{',
  '{{ if .A }}',
  '{{ end }}',
  '{{ }}',
  '{{ .A | }}',
  '{{ if }}x{{ end }}',
  '{{ ( .A }}',
  '{{ "a }}',
])
  test(`${source} is refused`, () => assert.throws(() => compileGoTemplate(source), GoTemplateError));

for (const source of [
  '{{ nope 1 }}',
  '{{ $x }}',
  '{{ constructor 1 }}',
  '{{ index .L 5 }}',
  '{{ range 100000 }}{{ range 100000 }}{{ end }}{{ end }}',
])
  test(`${source} fails clearly`, () => assert.throws(() => render(source, { L: [] }), GoTemplateError));
