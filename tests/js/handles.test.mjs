import assert from 'node:assert/strict'
import { test } from 'node:test'
import { dragged, pick, spots } from '../../web/editor/handles.js'
import * as maths from '../../web/editor/math.js'
import { defaultIntrinsics } from '../../web/editor/state.js'
import { close } from './paths.mjs'

test('an axis drag moves along its axis only, a plane drag stays in its plane, snapping lands on steps', () => {
  const view = { pose: maths.lookAtView([3, -2, -4], [0, 0, 0]), intrinsics: defaultIntrinsics(600, 400) }
  const origin = [0.31, 0.2, 0.5]
  const at = (point) => {
    const [x, y] = maths.project(view, point)
    return { x, y }
  }
  const along = dragged(view, { kind: 'axis', axis: 0 }, origin, at(origin), at([1.31, 0.2, 0.5]))
  close(along, [1.31, 0.2, 0.5], 1e-6)
  const plane = dragged(view, { kind: 'plane', axis: 1 }, origin, at(origin), at([0.9, 0.2, -0.4]))
  close(plane, [0.9, 0.2, -0.4], 1e-6)
  const snapped = dragged(view, { kind: 'plane', axis: 1 }, origin, at(origin), at([0.88, 0.2, -0.42]), 0.1)
  close(snapped, [0.9, 0.2, -0.4], 1e-6)
  const free = dragged(view, { kind: 'camera' }, origin, at(origin), { x: at(origin).x + 30, y: at(origin).y })
  const depth = (p) => maths.toCamera(view.pose, p)[2]
  assert.ok(Math.abs(depth(free) - depth(origin)) < 1e-9)
})

test('the pointer takes the gizmo before the points under it, and nothing far away', () => {
  const view = { pose: maths.lookAtView([3, -2, -4], [0, 0, 0]), intrinsics: defaultIntrinsics(600, 400) }
  const list = spots({
    view,
    unit: 1,
    eye: [0, 0, 0],
    target: [1, 0, 1],
    pivot: [0, 0, 2],
    active: [0, 0, 0],
    keys: [{ frame: 7, position: [-1, 0, 0] }]
  })
  const [x, y] = maths.project(view, [0, 0, 0])
  assert.equal(pick(list, x, y).handle.kind, 'camera')
  const key = maths.project(view, [-1, 0, 0])
  assert.deepEqual(pick(list, key[0], key[1]).handle, { kind: 'key', frame: 7 })
  const arm = list.find((spot) => spot.handle.kind === 'axis')
  assert.equal(pick(list, arm.x2, arm.y2).handle.kind, 'axis')
  assert.equal(pick(list, 5, 5), null)
})
