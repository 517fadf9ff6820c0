import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as maths from '../../web/editor/math.js'
import { close, lens } from './paths.mjs'

test('a projected point comes back along its ray', () => {
  const camera = { pose: maths.lookAtView([1, -2, -3], [0.2, 0.1, 4]), intrinsics: lens }
  const point = [0.7, 0.4, 3]
  const [u, v, z] = maths.project(camera, point)
  const ray = maths.pixelRay(camera, u, v)
  close(maths.add(ray.eye, maths.scale(ray.direction, z)), point, 1e-9)
  close(maths.eyeOf(camera.pose), [1, -2, -3], 1e-9)
})

test('the clip matrix agrees with the projection, pixel edges at -1 and 1', () => {
  const camera = { pose: maths.lookAtView([0.5, 0, -1], [0, 0, 2]), intrinsics: { ...lens, cx: 120, cy: 131 } }
  const m = maths.clipMatrix(camera, 0.01, 1000)
  const point = [0.3, -0.2, 1.5, 1]
  const clip = [0, 1, 2, 3].map((row) => point.reduce((sum, p, i) => sum + m[4 * row + i] * p, 0))
  const [u, v, z] = maths.project(camera, point)
  close([clip[0] / clip[3], clip[1] / clip[3], clip[3]], [(2 * u) / 256 - 1, 1 - (2 * v) / 256, z], 1e-5)
})
