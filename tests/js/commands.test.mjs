import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Commands } from '../../web/editor/commands.js'
import { baked, spherical } from '../../web/editor/edits.js'
import { eyeOf, fovOf } from '../../web/editor/math.js'
import { close, orbit, stateOf } from './paths.mjs'

const framesOf = (state) => state.document.keyframes.map((key) => key.frame)

test('a key is added at the playhead, selected, and taken away again', () => {
  const { state } = stateOf(baked(orbit()))
  const commands = new Commands(state)
  const before = framesOf(state)
  state.goTo(7)
  commands.toggleKey()
  assert.ok(state.isKey(7))
  assert.equal(state.selected, 7)
  commands.toggleKey()
  assert.deepEqual(framesOf(state), before)
})

test('the selected key goes rather than the one at the playhead, and a preset has none to lose', () => {
  const { state } = stateOf(baked(orbit()))
  const commands = new Commands(state)
  const [first, second] = framesOf(state)
  state.goTo(first)
  state.select(second)
  commands.removeKey()
  assert.ok(state.isKey(first) && !state.isKey(second))
  const preset = stateOf().state
  new Commands(preset).removeKey()
  assert.ok(preset.document.source)
})

test('a copy of a key stands beside it, with the playhead on it', () => {
  const { state } = stateOf(baked(orbit()))
  const commands = new Commands(state)
  const count = framesOf(state).length
  state.goTo(0)
  commands.duplicateKey()
  assert.equal(framesOf(state).length, count + 1)
  assert.ok(state.frame > 0 && state.selected === state.frame && state.isKey(state.frame))
  assert.deepEqual(
    state.document.keyframes.find((key) => key.frame === state.frame).position,
    state.document.keyframes[0].position
  )
})

test('the playhead jumps from key to key and stays at the last', () => {
  const { state } = stateOf(baked(orbit()))
  const commands = new Commands(state)
  const stops = framesOf(state)
  for (const stop of stops.slice(1)) {
    commands.jump(1)
    assert.equal(state.frame, stop)
    assert.equal(state.selected, stop)
  }
  commands.jump(1)
  assert.equal(state.frame, stops.at(-1))
  commands.jump(-1)
  assert.equal(state.frame, stops.at(-2))
  const preset = stateOf().state
  new Commands(preset).jump(1)
  assert.equal(preset.frame, 48)
  assert.equal(preset.selected, null)
})

test('nudging goes to the right and up by whole degrees, a dolly closer, a zoom wider', () => {
  const { state } = stateOf()
  const commands = new Commands(state)
  commands.nudge(10, 5)
  const { azimuth, elevation, distance } = spherical(eyeOf(state.camera().pose), state.document.pivot)
  close([azimuth, elevation, distance], [10, 5, 2], 1e-4)
  commands.dolly(0.5)
  close([spherical(eyeOf(state.camera().pose), state.document.pivot).distance], [1], 1e-4)
  const before = fovOf(state.camera().intrinsics)
  commands.zoomLens(2)
  close([fovOf(state.camera().intrinsics)], [before * 1.04 ** 2], 1e-6)
  commands.zoomLens(1000)
  close([fovOf(state.camera().intrinsics)], [150], 1e-6)
})
