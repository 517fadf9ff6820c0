// The source camera in the editor: what its poses do to cameras, points and lenses.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { IDENTITY_POSE, lookAtView, toCamera } from '../../web/editor/math.js'
import { cameraFrom, inWorld, seenFrom, sourcePose, withLensOf } from '../../web/editor/sourceCamera.js'

const source = lookAtView([0.4, -0.2, 0.7], [1, 0.3, 4])
const header = {
  intrinsics: { fx: 100, fy: 100, cx: 32, cy: 24 },
  source_poses: [IDENTITY_POSE.slice(0, 12), Array.from(source).slice(0, 12)],
  source_lenses: [
    [100, 100, 32, 24],
    [130, 131, 30, 25]
  ]
}
const close = (a, b) => a.forEach((v, i) => assert.ok(Math.abs(v - b[i]) < 1e-9, `${a} and ${b}`))

test('a path in the world is seen from the source camera of the frame, one that rides on it is not', () => {
  close(Array.from(sourcePose(header, 1, { frame_of_reference: 'world' })), Array.from(source))
  assert.equal(sourcePose(header, 1, {}), IDENTITY_POSE)
  assert.equal(sourcePose({ intrinsics: header.intrinsics }, 1, { frame_of_reference: 'world' }), IDENTITY_POSE)
})

test('a point looks the same from a camera in the world and from that camera in the source frame', () => {
  const camera = { pose: lookAtView([2, -1, 0], [0, 0, 3]), intrinsics: header.intrinsics }
  const point = [0.3, 0.2, 5]
  const seen = cameraFrom(camera, source)
  close(toCamera(seen.pose, toCamera(source, point)), toCamera(camera.pose, point))
  close(inWorld(toCamera(source, point), source), point)
  assert.equal(cameraFrom(camera, IDENTITY_POSE), camera)
  close(Array.from(seenFrom(source, source)), IDENTITY_POSE)
})

test('every stored frame has its own lens where they change', () => {
  assert.deepEqual(withLensOf(header, 1).intrinsics, { fx: 130, fy: 131, cx: 30, cy: 25 })
  const still = { intrinsics: header.intrinsics }
  assert.equal(withLensOf(still, 1), still)
})
