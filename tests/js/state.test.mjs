import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as edits from '../../web/editor/edits.js'
import { dragged } from '../../web/editor/handles.js'
import * as maths from '../../web/editor/math.js'
import { close, orbit, stateOf } from './paths.mjs'

test('the first edit of a preset turns it into a few keys near the same path', () => {
  const { state, written } = stateOf()
  const before = state.path.poses[48]
  state.goTo(20)
  assert.ok(state.editKey('roll', (key) => ({ ...key, roll: 5 })))
  assert.equal(state.document.source, null)
  assert.ok(state.document.keyframes.length >= 3 && state.document.keyframes.length <= 9)
  close(maths.eyeOf(state.path.poses[48]), maths.eyeOf(before), 1e-4)
  assert.equal(JSON.parse(written.at(-1)).keyframes.find((key) => key.frame === 20).roll, 5)
})

test('undo and redo walk whole gestures', () => {
  const { state, clock } = stateOf()
  const start = JSON.stringify(state.document)
  state.goTo(10)
  state.held = true
  for (let i = 0; i < 20; i++) {
    clock.now += 2000
    state.editKey('orbit', (key) => edits.orbited(key, [0, 0, 2], 0.01, 0))
  }
  state.held = false
  state.settle()
  const dragged = JSON.stringify(state.document)
  clock.now += 10
  state.editKey('orbit', (key) => edits.orbited(key, [0, 0, 2], 0.3, 0))
  assert.equal(state.past.length, 2)
  state.undo()
  assert.equal(JSON.stringify(state.document), dragged)
  state.undo()
  assert.equal(JSON.stringify(state.document), start)
  state.undo()
  state.redo()
  assert.equal(JSON.stringify(state.document), dragged)
})

test('foreign and broken text leaves the last good path and says why; the text is not overwritten', () => {
  const { state, written } = stateOf()
  const good = JSON.stringify(state.document)
  for (const [text, why] of [
    ['{', /not valid JSON/],
    ['{"nodes": []}', /version/],
    ['[1]', /JSON object/],
    [good.replace('"frames":49', '"frames":null'), /frames/]
  ]) {
    state.read(text, () => orbit())
    assert.match(state.problem, why)
    assert.equal(JSON.stringify(state.document), good)
  }
  assert.equal(written.length, 0)
  state.read(good, () => orbit())
  assert.equal(state.problem, null)
})

test('an impossible edit is refused whole: NaN, or a camera on its target', () => {
  const { state } = stateOf(edits.baked(orbit()))
  const good = JSON.stringify(state.document)
  assert.equal(
    state.editKey('x', (key) => ({ ...key, position: [NaN, 0, 0] })),
    false
  )
  assert.equal(
    state.editKey('x', (key) => ({ ...key, position: key.target })),
    false
  )
  assert.match(state.refused, /target/)
  assert.equal(JSON.stringify(state.document), good)
  assert.equal(state.path.poses.length, 49)
})

test('a path without a scene is drawn with the training lens, with one it takes the scene lens', () => {
  const { state } = stateOf()
  assert.ok(Math.abs(state.camera(0).intrinsics.fx - 500) < 1e-9)
  state.setScene({
    radius: 2,
    pivot: [0, 0, 2],
    frames: 49,
    intrinsics: { fx: 800, fy: 800, cx: 320, cy: 180, width: 640, height: 360 }
  })
  assert.equal(state.camera(0).intrinsics.width, 640)
  state.editKey('fov', (key) => ({ ...key, fov: 40 }))
  assert.ok(Math.abs(maths.fovOf(state.camera(0).intrinsics) - 40) < 1e-6)
})

test('where an edit would not count nothing changes, undo included, and it is said', () => {
  const { state, written } = stateOf(edits.baked(orbit()))
  state.editKey('roll', (key) => ({ ...key, roll: 5 }))
  const [kept, count] = [JSON.stringify(state.document), written.length]
  state.lock = () => 'Not changed: path comes from a link.'
  assert.equal(
    state.editKey('roll', (key) => ({ ...key, roll: 9 })),
    false
  )
  state.undo()
  assert.equal(JSON.stringify(state.document), kept)
  assert.equal(written.length, count)
  assert.match(state.refused, /comes from a link/)
  state.lock = () => ''
  state.undo()
  assert.equal(written.length, count + 1)
})
