import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as edits from '../../web/editor/edits.js'
import * as maths from '../../web/editor/math.js'
import { evaluatePath } from '../../web/editor/state.js'
import { close, lens, orbit } from './paths.mjs'

test('orbiting keeps the distance and the picture of the pivot, for targets and for quaternions', () => {
  const pivot = [0.3, -0.1, 2]
  const aim = {
    frame: 0,
    position: [0, 0, 0],
    target: [0, 0, 2],
    roll: 0,
    fov: null,
    lens_shift: [0, 0],
    ease: 'linear'
  }
  const free = { ...aim, target: undefined, quaternion: [1, 0, 0, 0] }
  const poseOf = (key) => {
    const { target, quaternion, ...rest } = key
    const document = {
      ...orbit(),
      frames: 1,
      source: null,
      keyframes: [target ? { ...rest, target } : { ...rest, quaternion }]
    }
    return evaluatePath(document, lens).poses[0]
  }
  for (const key of [aim, free]) {
    const turned = edits.orbited(key, pivot, maths.radians(35), maths.radians(20))
    assert.ok(Math.abs(maths.distance(turned.position, pivot) - maths.distance(key.position, pivot)) < 1e-6)
    close(maths.toCamera(poseOf(turned), pivot), maths.toCamera(poseOf(key), pivot), 2e-2)
    const { azimuth } = edits.spherical(turned.position, pivot)
    assert.ok(azimuth > edits.spherical(key.position, pivot).azimuth + 30, 'positive goes right')
    assert.ok(turned.position[1] < key.position[1], 'positive goes up')
  }
  const steep = edits.orbited(aim, [0, 0, 2], 0, maths.radians(200))
  assert.ok(Math.abs(edits.spherical(steep.position, [0, 0, 2]).elevation) <= 89.01, 'stops short of the pole')
})

test('looking turns right and up for positive angles', () => {
  const key = {
    frame: 0,
    position: [1, 1, 1],
    target: [1, 1, 3],
    roll: 0,
    fov: null,
    lens_shift: [0, 0],
    ease: 'linear'
  }
  const free = { ...key, target: undefined, quaternion: [1, 0, 0, 0] }
  for (const k of [key, free]) {
    const forward = edits.forwardOf(edits.looked(k, maths.radians(20), maths.radians(10)))
    close(
      forward,
      [
        Math.sin(maths.radians(20)) * Math.cos(maths.radians(10)),
        -Math.sin(maths.radians(10)),
        Math.cos(maths.radians(20)) * Math.cos(maths.radians(10))
      ],
      1e-6
    )
  }
})

test('placing a camera by angle, height and distance gives exactly those', () => {
  const key = {
    frame: 0,
    position: [0, 0, 0],
    target: [0, 0, 2],
    roll: 0,
    fov: null,
    lens_shift: [0, 0],
    ease: 'linear'
  }
  const placed = edits.placedAround(key, [0, 0, 2], { azimuth: -70, elevation: 25, distance: 3 })
  const at = edits.spherical(placed.position, [0, 0, 2])
  close([at.azimuth, at.elevation, at.distance], [-70, 25, 3], 1e-4)
})

test('aiming a quaternion key turns it to the point', () => {
  const key = {
    frame: 0,
    position: [0, 0, 0],
    quaternion: [1, 0, 0, 0],
    roll: 0,
    fov: null,
    lens_shift: [0, 0],
    ease: 'linear'
  }
  close(edits.forwardOf(edits.aimed(key, [1, 1, 1])), maths.normalize([1, 1, 1]), 1e-6)
})

test('a key added between two others leaves the path where it was', () => {
  const document = edits.baked(orbit(90))
  const path = evaluatePath(document, lens)
  const next = edits.withKey(document, path, 17)
  const after = evaluatePath(next, lens)
  assert.ok(edits.keyAt(next, 17))
  close(maths.eyeOf(after.poses[17]), maths.eyeOf(path.poses[17]), 1e-5)
  close(maths.axesOf(after.poses[17]).forward, maths.axesOf(path.poses[17]).forward, 1e-5)
})

test('keys move, copy and go; the last one stays and none lands on another', () => {
  let document = edits.baked(orbit())
  const first = document.keyframes[0].frame
  const last = document.keyframes.at(-1).frame
  document = edits.retimeKey(document, last, 40)
  assert.ok(edits.keyAt(document, 40) && !edits.keyAt(document, last))
  assert.equal(edits.retimeKey(document, 40, first), document)
  assert.equal(edits.retimeKey(document, 40, 999).keyframes.at(-1).frame, 48)
  const copied = edits.placeKey(document, document.keyframes[0], edits.freeFrame(document, 0))
  assert.equal(copied.keyframes.length, document.keyframes.length + 1)
  for (const key of [...document.keyframes]) document = edits.removeKey(document, key.frame)
  assert.equal(document.keyframes.length, 1)
})
