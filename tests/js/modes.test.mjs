import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Modes } from '../../web/editor/modes.js'

test('a change is told once, and what is no change not at all', () => {
  const modes = new Modes()
  let told = 0
  modes.listeners.add(() => told++)
  modes.set({ snapping: true, layout: 'shot' })
  modes.set({ snapping: true })
  assert.equal(told, 1)
  modes.toggle('snapping')
  assert.equal(told, 2)
  assert.equal(modes.snapping, false)
})

test('what was kept comes back whole, whatever the order of its parts', () => {
  const before = new Modes()
  before.set({
    layout: 'swapped',
    mode: 'mask',
    loop: false,
    snapping: true,
    points: true,
    memory: false,
    filmBack: 'super 35 24.89x18.66',
    holeLimit: 0.5,
    flying: true
  })
  const kept = JSON.parse(JSON.stringify(before.kept()))
  const after = new Modes()
  /** What a listener would keep while it is recalled. */
  const written = []
  after.listeners.add(() => written.push(after.kept()))
  after.recall(kept)
  assert.deepEqual(after.kept(), before.kept())
  for (const each of written) assert.deepEqual(each, kept)
  assert.equal(after.flying, false, 'nobody comes back flying')
})

test('foreign settings change nothing', () => {
  const modes = new Modes()
  const fresh = modes.kept()
  modes.recall({
    layout: 'upside down',
    mode: 7,
    loop: 'yes',
    snapping: null,
    points: 1,
    filmBack: 'toString',
    holeLimit: 3
  })
  assert.deepEqual(modes.kept(), fresh)
})

test('layouts follow each other in a ring', () => {
  const modes = new Modes()
  const seen = [0, 1, 2, 3].map(() => {
    modes.nextLayout()
    return modes.layout
  })
  assert.deepEqual(seen, ['swapped', 'scene', 'shot', 'both'])
})

test('landing lets go of the keys that flew', () => {
  const modes = new Modes()
  modes.set({ flying: true })
  modes.flyKeys.add('KeyW')
  modes.toggle('flying')
  assert.equal(modes.flyKeys.size, 0)
})
