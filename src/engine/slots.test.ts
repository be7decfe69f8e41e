import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createSlots } from './slots.ts';

const long = (word: string) => `${word} is what this text is about. `.repeat(100);

test('a key has its slot for itself, whatever others begin with and whoever comes in between', () => {
  const slots = createSlots(4);
  const ask = (key: string | undefined, ...prompt: string[]) => {
    const slot = slots.take({ key, prompt });
    slots.give(slot);
    return slot.id;
  };
  const keys = ['a', 'b', 'c'];
  const ids = keys.map((key) => ask(key, long('sky'), key));
  assert.equal(new Set(ids).size, 3);
  const other = ask(undefined, long('sea'));
  assert.ok(!ids.includes(other), 'what has no key takes what is no key’s');
  for (let round = 0; round < 3; round++)
    assert.deepEqual(
      keys.map((key) => ask(key, long('sky'), key, String(round))),
      ids,
    );
});

test('a key whose slot is at work takes another, for this time', () => {
  const slots = createSlots(2);
  const first = slots.take({ key: 'a', prompt: ['x'] });
  const second = slots.take({ key: 'a', prompt: ['x'] });
  assert.notEqual(second.id, first.id);
  slots.give(first);
  slots.give(second);
  assert.equal(slots.take({ key: 'a', prompt: ['x'] }).id, first.id);
});

test('with more keys than slots the key that was used the longest ago gives its slot up', () => {
  const slots = createSlots(2);
  const ask = (key: string) => {
    const slot = slots.take({ key, prompt: [key] });
    slots.give(slot);
    return slot.id;
  };
  const a = ask('a');
  const b = ask('b');
  ask('a');
  assert.equal(ask('c'), b);
  assert.equal(ask('a'), a);
  assert.equal(slots.take({ key: 'b', prompt: ['b'] }).copies, true, 'what it lost may have been kept');
});

test('a key that nobody has used for long keeps nobody from its slot', () => {
  let time = 0;
  const slots = createSlots(2, () => time);
  const held = slots.take({ key: 'a', prompt: ['x'] });
  slots.give(held);
  const other = slots.take({ prompt: ['y'] });
  assert.notEqual(other.id, held.id);
  slots.give(other);
  time = 10 * 60_000;
  slots.give(slots.take({ prompt: ['z'] }));
  assert.equal(slots.take({ key: 'b', prompt: ['w'] }).id, other.id);
});

test('without a key the slot that holds most of the prompt is chosen, else the one unused for longest', () => {
  const slots = createSlots(3);
  const ask = (...prompt: string[]) => {
    const slot = slots.take({ prompt });
    slots.give(slot);
    return slot.id;
  };
  const sea = ask(long('sea'));
  const sky = ask(long('sky'));
  assert.notEqual(sea, sky);
  assert.equal(ask(long('sea'), 'and', 'more'), sea);
  assert.equal(ask(long('sky'), 'and', 'more'), sky);
  assert.equal(ask(`${long('sea')} and something else`), sea);
  const fresh = ask(long('rock'));
  assert.ok(fresh !== sea && fresh !== sky);
  assert.equal(ask(long('wood')), sky);
});

test('a slot is said to need a copy where an idle one holds more of the beginning', () => {
  const slots = createSlots(3);
  const sea = slots.take({ key: 'a', prompt: [long('sea'), 'a'] });
  assert.equal(sea.copies, false);
  assert.equal(
    slots.take({ key: 'busy', prompt: [long('sea'), 'b'] }).copies,
    false,
    'nothing is copied of a busy one',
  );
  slots.give(sea);
  const other = slots.take({ key: 'b', prompt: [long('sea'), 'b'] });
  assert.equal(other.copies, true);
  slots.give(other);
  assert.equal(slots.take({ key: 'b', prompt: [long('sea'), 'b', 'more'] }).copies, false);
});
