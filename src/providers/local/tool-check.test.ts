import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Json } from '../../core/json.ts';
import { createToolChecker } from './tool-check.ts';

const checker = createToolChecker([
  {
    name: 'get_weather',
    parameters: {
      type: 'object',
      properties: { city: { type: 'string' }, days: { type: 'integer' }, unit: { enum: ['C', 'F'] }, tags: { type: 'array', items: { type: 'string' } }, live: { type: 'boolean' },
        set: { type: 'array', uniqueItems: true }, },
      required: ['city'],
      additionalProperties: false,
    },
  },
  { name: 'ping' },
]); // biome-ignore format: a table

const valid: [name: string, input: Json, expected: string][] = [
  ['as text', '{"city": "Paris"}', '{"city": "Paris"}'],
  ['as an object', { city: 'Paris' }, '{"city":"Paris"}'],
];
for (const [name, input, expected] of valid)
  test(`${name}: valid, and the text unchanged`, () =>
    assert.deepEqual(checker.check('get_weather', input), {
      state: 'valid',
      name: 'get_weather',
      arguments: expected,
    }));

const repaired: [name: string, tool: string, input: Json, expected: Json][] = [
  ['JSON with slips', 'get_weather', "{city: 'Paris',}", { city: 'Paris' }],
  ['arguments wrapped once more', 'get_weather', { parameters: { city: 'Paris' } }, { city: 'Paris' }],
  ['arguments as text in text', 'get_weather', '"{\\"city\\": \\"Paris\\"}"', { city: 'Paris' }],
  ['numbers as text', 'get_weather', { city: 'Paris', days: '3' }, { city: 'Paris', days: 3 }],
  ['text as a number', 'get_weather', { city: 75001 }, { city: '75001' }],
  ['a boolean as text', 'get_weather', { city: 'Paris', live: 'True' }, { city: 'Paris', live: true }],
  ['one item for a list', 'get_weather', { city: 'Paris', tags: 'a' }, { city: 'Paris', tags: ['a'] }],
  ['the same twice in a set', 'get_weather', { city: 'Paris', set: [1, 1, 2] }, { city: 'Paris', set: [1, 2] }],
  ['fields that are not there', 'get_weather', { city: 'Paris', mood: 'good' }, { city: 'Paris' }],
  ['a value in other case', 'get_weather', { city: 'Paris', unit: 'c' }, { city: 'Paris', unit: 'C' }],
  ['null for what is optional', 'get_weather', { city: 'Paris', days: null }, { city: 'Paris' }],
  ['a prefix before the name', 'functions.get_weather', { city: 'Paris' }, { city: 'Paris' }],
  ['a name in other case', 'GetWeather', { city: 'Paris' }, { city: 'Paris' }],
  ['no arguments at all', 'ping', '', {}],
  ['null for none', 'ping', null, {}],
];
for (const [name, tool, input, expected] of repaired)
  test(`${name}: put right`, () => {
    const checked = checker.check(tool, input);
    assert.equal(checked.state, 'repaired');
    assert.deepEqual(checked.state === 'repaired' && JSON.parse(checked.arguments), expected);
  });

const rejected: [name: string, tool: string, input: Json, reason: RegExp][] = [
  ['a tool that is not there', 'launch', {}, /no tool "launch"/],
  ['what is required is missing', 'get_weather', { days: 1 }, /'city'/],
  ['a wrong value', 'get_weather', { city: 'Paris', unit: 'kelvin' }, /"unit"/],
];
test('a tool that is not there: which one was meant', () => {
  const meant = (called: string) => {
    const checked = checker.check(called, {});
    return checked.state === 'rejected' && { name: checked.name, invented: checked.invented };
  };
  for (const called of ['get_current_weather', 'weather', 'getWeatherNow', 'functions.weather'])
    assert.deepEqual(meant(called), { name: 'get_weather', invented: undefined }, called);
  for (const called of ['hello', 'get_time', 'get', '', 'Bob'])
    assert.deepEqual(meant(called), { name: undefined, invented: true }, called);
});

for (const [name, tool, input, reason] of rejected)
  test(`${name}: rejected, with the reason`, () => {
    const checked = checker.check(tool, input);
    assert.equal(checked.state, 'rejected');
    assert.match(checked.state === 'rejected' ? checked.reason : '', reason);
  });
