import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Commands } from '../../web/editor/commands.js'
import { Modes } from '../../web/editor/modes.js'
import { HELP, keyboardOf } from '../../web/editor/shortcuts.js'
import { stateOf } from './paths.mjs'

/** A keyboard on a real path; what is not the path's is written down when it is called. */
function keyboard() {
  const { state } = stateOf()
  const called = []
  const note = (name) => () => called.push(name)
  const modes = new Modes()
  const press = keyboardOf({
    state,
    commands: new Commands(state),
    modes,
    playback: { toggle: note('play') },
    sceneView: { home: note('home'), standard: (name) => called.push(name) },
    toggleHelp: note('help'),
    toggleLarge: note('large'),
    leave: note('leave'),
    redraw: note('redraw')
  })
  const type = (code, key = '', held = {}) => press({ code, key, ...held })
  return { state, modes, called, type }
}

test('arrows move the playhead by one frame, with Shift by ten, never off the path', () => {
  const { state, type } = keyboard()
  assert.ok(type('ArrowRight'))
  assert.ok(type('ArrowRight', '', { shiftKey: true }))
  assert.equal(state.frame, 11)
  type('End')
  type('ArrowRight')
  assert.equal(state.frame, 48)
  type('Home')
  assert.equal(state.frame, 0)
})

test('Ctrl and Z take back, with Shift bring again; what the editor does not know is left to the page', () => {
  const { state, type } = keyboard()
  type('ArrowRight', '', { altKey: true })
  assert.equal(state.past.length, 1)
  assert.ok(type('KeyZ', 'z', { ctrlKey: true }))
  assert.equal(state.past.length, 0)
  assert.ok(type('KeyZ', 'z', { metaKey: true, shiftKey: true }))
  assert.equal(state.past.length, 1)
  assert.equal(type('KeyS', 's', { ctrlKey: true }), false)
  assert.equal(type('KeyQ', 'q'), false)
  assert.equal(type('KeyK', 'k', { altKey: true }), false)
})

test('letters fly only while flying', () => {
  const { modes, called, type } = keyboard()
  assert.equal(type('KeyW', 'w'), false)
  type('KeyF', 'f')
  assert.ok(type('KeyW', 'w'))
  assert.ok(modes.flying && modes.flyKeys.has('KeyW'))
  assert.deepEqual(called, ['redraw'])
})

test('signs count by what they write, wherever they are on the keyboard', () => {
  const { state, called, type } = keyboard()
  assert.ok(type('Slash', '?', { shiftKey: true }))
  assert.ok(type('Minus', '?', { shiftKey: true }))
  assert.deepEqual(called, ['help', 'help'])
  assert.ok(type('BracketRight', '+'))
  assert.equal(state.document.source, null, 'a dolly, not a jump')
})

test('every key does what the help says of it', () => {
  const { modes, called, type } = keyboard()
  for (const code of ['Space', 'KeyH', 'KeyX', 'Escape', 'Digit7', 'Digit8', 'Digit9']) assert.ok(type(code))
  assert.deepEqual(called, ['play', 'home', 'large', 'leave', 'top', 'side', 'back'])
  for (const code of ['KeyL', 'KeyP', 'KeyS', 'KeyO', 'KeyF', 'KeyV', 'Digit2']) assert.ok(type(code))
  const { loop, picking, snapping, points, flying, layout, mode } = modes
  assert.deepEqual(
    { loop, picking, snapping, points, flying, layout, mode },
    { loop: false, picking: true, snapping: true, points: true, flying: true, layout: 'swapped', mode: 'mask' }
  )
  const told = HELP.flatMap(({ rows }) => rows.map(([key]) => key)).join('  ')
  for (const key of ['Space', 'H', 'X', 'Esc', '7  8  9', 'L', 'P', 'S', 'O', 'F', 'V', 'K', 'D'])
    assert.ok(told.includes(key), key)
})
