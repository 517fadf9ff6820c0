import assert from 'node:assert/strict'
import test from 'node:test'
import { deflateSync } from 'node:zlib'

import { pinched } from '../../web/editor/dom.js'
import * as edits from '../../web/editor/edits.js'
import { gridIndices, gridStops } from '../../web/editor/grid.js'
import { dragged, pick, spots } from '../../web/editor/handles.js'
import * as maths from '../../web/editor/math.js'
import { insideSurface, meetSurface } from '../../web/editor/picking.js'
import { depthOf, isReference, loadPreview, unpackDepth } from '../../web/editor/preview.js'
import { shotRange } from '../../web/editor/renderer.js'
import { defaultIntrinsics, EditorState, evaluatePath } from '../../web/editor/state.js'
import { ranges } from '../../web/editor/status.js'
import { presetDocument } from '../../web/editor/trajectory.js'
import { Warnings } from '../../web/editor/warnings.js'

const close = (actual, expected, tolerance = 1e-6) =>
  Array.from(expected).forEach((value, i) =>
    assert.ok(Math.abs(actual[i] - value) <= tolerance, `${Array.from(actual)} is not ${Array.from(expected)}`)
  )
const lens = defaultIntrinsics(256, 256)
const orbit = (angle = 60) => presetDocument('orbit', { frames: 49, radius: 2, params: { angle, rise: 0 } })
/** A state whose clock is set by hand. */
function stateOf(document = orbit()) {
  const written = []
  const clock = { now: 0 }
  const state = new EditorState({ write: (text) => written.push(text), now: () => clock.now })
  state.read('', () => document)
  return { state, written, clock }
}

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

test('packed depth decodes to the levels that Python stored', () => {
  // 3x2 levels with steps up, down and around the 16-bit edge.
  const levels = [65535, 0, 1, 65530, 65535, 300]
  const change = [65535, 1, 1, (65530 - 65535) & 0xffff, 5, (300 - 65535) & 0xffff]
  const zigzag = change.map((c) => (((c << 1) & 0xffff) ^ (c & 0x8000 ? 0xffff : 0)) & 0xffff)
  const bytes = Uint8Array.from([...zigzag.map((v) => v >> 8), ...zigzag.map((v) => v & 255)])
  assert.deepEqual([...unpackDepth(bytes, 3, 2)], levels)
  assert.throws(() => unpackDepth(bytes.subarray(1), 3, 2), /damaged/)
  close(
    [depthOf({ levels: 65535, near: 2, far: 50 }, 65535), depthOf({ levels: 65535, near: 2, far: 50 }, 0)],
    [2, 50],
    1e-9
  )
})

/** A preview file of one flat frame, as the server would send it. */
function previewFile(change = {}) {
  const header = {
    version: 1,
    width: 4,
    height: 4,
    frames: 1,
    clip_frames: 1,
    frame_numbers: [0],
    near: 1,
    far: 9,
    levels: 65535,
    style: 'released',
    min_angle: 2.5,
    max_jump: null,
    border_depth: 100,
    radius: 1.15,
    pivot: [0, 0, 1.15],
    intrinsics: { fx: 4, fy: 4, cx: 2, cy: 2 },
    source: [8, 8],
    sizes: [[3, 0]],
    ...change
  }
  const depth = deflateSync(Buffer.alloc(32))
  header.sizes = [[3, depth.length]]
  const text = Buffer.from(JSON.stringify(header))
  const size = Buffer.alloc(4)
  size.writeUInt32LE(text.length)
  return Buffer.concat([Buffer.from('EX4DPRV1'), size, text, Buffer.from([1, 2, 3]), depth])
}

async function received(body, status = 200) {
  const before = [globalThis.fetch, globalThis.createImageBitmap]
  // Odd pieces, so that the reader has to join and split them.
  const pieces = []
  for (let i = 0; i < body.length; i += 7) pieces.push(body.subarray(i, i + 7))
  globalThis.fetch = async () =>
    new Response(
      new ReadableStream({
        start: (c) => {
          pieces.forEach((p) => c.enqueue(new Uint8Array(p)))
          c.close()
        }
      }),
      { status }
    )
  globalThis.createImageBitmap = async () => ({ close() {} })
  const got = { frames: [] }
  try {
    await loadPreview('x', { header: (h) => (got.header = h), frame: (f) => got.frames.push(f) })
  } finally {
    ;[globalThis.fetch, globalThis.createImageBitmap] = before
  }
  return got
}

test('a preview streams in pieces; damage and absence are told in a sentence', async () => {
  const got = await received(previewFile())
  assert.equal(got.header.source[0], 8)
  assert.equal(got.frames[0].depth.length, 16)
  await assert.rejects(received(previewFile().subarray(0, -4)), /ends too early/)
  await assert.rejects(received(Buffer.from('this is a web page, not a preview')), /no EX-4D preview/)
  await assert.rejects(received(previewFile({ far: 0 })), /damaged/)
  await assert.rejects(
    received(previewFile(), 404),
    (error) => error.gone && /Run the camera node again/.test(error.message)
  )
  assert.ok(isReference({ filename: 'a.ex4d', subfolder: 's', type: 'temp' }))
  for (const odd of [
    null,
    'a',
    { filename: '', subfolder: '', type: 'temp' },
    { filename: 'a', subfolder: '', type: 'input' }
  ])
    assert.ok(!isReference(odd))
})

test('both faces of a quad end at its upper right corner, and the back plate closes the rim', () => {
  const [width, height] = [5, 4]
  for (const style of ['released', 'paper']) {
    const indices = gridIndices(width, height, style)
    const quads = (width - 1) * (height - 1)
    for (let face = 0; face < 2 * quads; face++) {
      const [a, b, c] = indices.subarray(3 * face, 3 * face + 3)
      const quad = c - 1
      const corners = [quad, quad + 1, quad + width, quad + width + 1]
      assert.ok([a, b, c].every((v) => corners.includes(v)))
    }
    assert.equal(indices.length, 6 * quads + (style === 'paper' ? 3 * 2 * (width + height - 2) : 6))
  }
  const paper = gridIndices(width, height, 'paper')
  const edges = new Map()
  for (let i = 0; i < paper.length; i += 3) {
    for (const [a, b] of [
      [0, 1],
      [1, 2],
      [2, 0]
    ]) {
      const key = `${paper[i + a]}-${paper[i + b]}`
      edges.set(key, (edges.get(key) ?? 0) + 1)
    }
  }
  for (const [key, count] of edges) {
    const [a, b] = key.split('-')
    assert.equal(count, 1)
    assert.equal(edges.get(`${b}-${a}`), 1, `edge ${key} has no twin`)
  }
})

test('the coarse grid keeps the rim and its neighbours', () => {
  assert.deepEqual(gridStops(6, 1), [0, 1, 2, 3, 4, 5])
  assert.deepEqual(gridStops(11, 2), [0, 1, 2, 4, 6, 8, 9, 10])
  assert.deepEqual(gridStops(12, 2), [0, 1, 2, 4, 6, 8, 10, 11])
  for (const count of [2, 3, 4]) assert.deepEqual(gridStops(count, 2), gridStops(count, 1))
})

test('the vertices of the coarse grid are counted as the shader counts them', () => {
  const step = 2
  const stopAt = (i, count, full) => (i < 2 ? i : i < count - 2 ? step * (i - 1) : full - count + i)
  for (let full = 2; full < 40; full++) {
    const stops = gridStops(full, step)
    assert.deepEqual(
      stops.map((_, i) => stopAt(i, stops.length, full)),
      stops
    )
  }
  const [columns, rows] = [gridStops(16, step).length, gridStops(11, step).length]
  for (const style of ['released', 'paper']) {
    const used = new Set(gridIndices(16, 11, style, step))
    const count = columns * rows + (style === 'paper' ? 1 : 0)
    assert.deepEqual(
      [...used].sort((a, b) => a - b),
      Array.from({ length: count }, (_, i) => i)
    )
  }
  // The largest short index would restart the primitive.
  assert.ok(gridIndices(300, 200, 'paper', step) instanceof Uint16Array)
  assert.ok(gridIndices(256, 256, 'paper') instanceof Uint32Array)
})

test('a ray meets the visible surface, not the curtain beside it', () => {
  const header = {
    width: 32,
    height: 32,
    near: 1,
    far: 10,
    levels: 65535,
    border_depth: 20,
    radius: 1.2,
    intrinsics: { fx: 32, fy: 32, cx: 16, cy: 16 }
  }
  const level = (z) => Math.round(((1 / z - 1 / 10) / (1 / 1 - 1 / 10)) * 65535)
  const depth = new Uint16Array(32 * 32).map((_, i) => level(i % 32 < 16 ? 2 : 8))
  const front = meetSurface(header, depth, { eye: [0, 0, 0], direction: [-0.2, 0.05, 1] })
  close(front, [-0.4, 0.1, 2], 0.01)
  close(meetSurface(header, depth, { eye: [0, 0, 0], direction: [0.2, 0, 1] }), [1.6, 0, 8], 0.05)
  // From the side, above the near half, the ray passes the curtain between 2 and 8 and is not stopped by it.
  const aside = meetSurface(header, depth, { eye: [3, 0, 4], direction: [-1, 0, 0.2] })
  assert.ok(aside === null || Math.abs(aside[2] - 8) < 0.1 || Math.abs(aside[2] - 2) < 0.1)
  assert.equal(insideSurface(header, depth, [-0.5, 0, 3]), true)
  assert.equal(insideSurface(header, depth, [-0.5, 0, 1]), false)
  assert.equal(insideSurface(header, depth, [0, 0, -1]), false)
})

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

test('warnings name frames as runs', () => {
  assert.equal(ranges([]), '')
  assert.equal(ranges([false, true]), 'frame 1')
  assert.equal(ranges([true, true, true, false, true]), 'frames 0–2, 4')
})

test('the shot is cut off where the renderer cuts it, whatever the unit of the scene', () => {
  assert.deepEqual(shotRange(undefined), { near: 1e-3, far: 1e3 })
  assert.deepEqual(shotRange(/** @type {any} */ ({ border_depth: 100 })), { near: 1e-3, far: 1e3 })
  assert.deepEqual(shotRange(/** @type {any} */ ({ border_depth: 1e5 })), { near: 1, far: 1e6 })
  assert.deepEqual(shotRange(/** @type {any} */ ({ border_depth: 100, near: 1e-4 })), { near: 2e-5, far: 1e3 })
})

test('two fingers move the view by their middle and scale it by their distance', () => {
  const at = (/** @type {number} */ clientX, /** @type {number} */ clientY) => ({ clientX, clientY })
  assert.deepEqual(pinched([at(0, 0), at(10, 0)], [at(2, 4), at(12, 4)]), [2, 4, 1])
  assert.deepEqual(pinched([at(0, 0), at(10, 0)], [at(-5, 0), at(15, 0)]), [0, 0, 2])
  assert.ok(Number.isFinite(pinched([at(3, 3), at(3, 3)], [at(3, 3), at(3, 3)])[2]))
})

test('holes go on being measured after a frame that could not be drawn, and the frame itself when its camera moves', async (t) => {
  const { state } = stateOf(presetDocument('orbit', { frames: 5, radius: 2, params: { angle: 60, rise: 0 } }))
  const header = { frames: 1, frame_numbers: [0], clip_frames: 1 }
  const clip = { header, frames: [], loaded: 1, indexOf: () => 0 }
  /** Cameras that were drawn, by frame. @type {number[]} */
  const drawn = []
  let broken = true
  const renderer = {
    lost: false,
    holeShare: async (_clip, _index, camera) => {
      const frame = state.path.poses.findIndex((pose) =>
        maths.eyeOf(pose).every((v, i) => v === maths.eyeOf(camera.pose)[i])
      )
      drawn.push(frame)
      if (frame === 2 && broken) throw new Error('no picture')
      return 0.25
    }
  }
  const told = t.mock.method(console, 'error', () => {})
  const warnings = new Warnings({ state, clip, renderer, disposed: false, busy: false, redraw: () => {} })
  const settled = async (holes) => {
    for (let wait = 0; wait < 100 && String(warnings.holes) !== String(holes); wait++)
      await new Promise((done) => setTimeout(done, 20))
    assert.deepEqual(warnings.holes, holes)
  }
  warnings.refresh()
  await settled([0, 0.25, -1, 0.25, 0.25])
  // It is tried once, not over and over.
  await new Promise((done) => setTimeout(done, 150))
  assert.deepEqual(drawn.toSorted(), [1, 2, 3, 4])
  assert.equal(told.mock.callCount(), 1)

  broken = false
  state.goTo(2)
  state.editKey('dolly', (key) => edits.dollied(key, state.document.pivot, 1.5))
  warnings.refresh()
  await settled([0, 0.25, 0.25, 0.25, 0.25])
  warnings.dispose()
})
