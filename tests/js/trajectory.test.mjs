// The browser's camera paths against the golden file that Python wrote, and what only the browser does.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import {
  EASES,
  FRAMES_OF_REFERENCE,
  INTERPOLATIONS,
  PRESETS,
  TrajectoryError,
  bakeDocument,
  compactText,
  evaluateDocument,
  parseDocument,
  presetDocument,
  resampleDocument
} from '../../web/editor/trajectory.js'
import { setsTheTime, sourceFrame } from '../../web/editor/time.js'

const golden = JSON.parse(readFileSync(new URL('../golden/trajectory.json', import.meta.url), 'utf8'))
const [fx, fy, cx, cy, width, height] = golden.scene
const scene = { intrinsics: { fx, fy, cx, cy, width, height } }

/** Largest difference of two lists of numbers. */
const apart = (a, b) =>
  a.reduce((most, v, i) => Math.max(most, Math.abs(v - b[i])), a.length === b.length ? 0 : Infinity)

for (const { name, document, times, world_to_camera, intrinsics, baked, shown } of golden.cases) {
  test(`evaluates like Python: ${name}`, () => {
    const path = evaluateDocument(document, scene, times)
    world_to_camera.forEach((pose, i) => {
      assert.ok(apart(pose, [...path.worldToCamera[i]]) < 1e-9, `pose at frame ${times[i]}`)
      const k = path.intrinsics[i]
      assert.ok(apart(intrinsics[i], [k.fx, k.fy, k.cx, k.cy, k.width, k.height]) < 1e-7, `lens at frame ${times[i]}`)
    })
    const parsed = parseDocument(document)
    assert.equal(setsTheTime(parsed), Object.keys(shown).length > 0)
    for (const [count, frames] of Object.entries(shown)) {
      const ours = frames.map((_, i) => sourceFrame(parsed, Number(count), i))
      assert.deepEqual(ours, frames, `frames of a clip of ${count}`)
    }
    assert.deepEqual(
      bakeDocument(parseDocument(document)).keyframes.map((key) => key.frame),
      baked
    )
  })
}

test('choices are the same as in Python', () => {
  assert.deepEqual(EASES, golden.eases)
  assert.deepEqual(INTERPOLATIONS, golden.interpolations)
  assert.deepEqual(FRAMES_OF_REFERENCE, golden.frames_of_reference)
})

test('presets are the same as in Python', () => {
  const ours = PRESETS.map(({ name, label, turns, params }) => ({
    name,
    label,
    turns,
    params: params.map((p) => [p.name, p.default, p.min, p.max, p.unit, p.description])
  }))
  assert.deepEqual(ours, golden.presets)
})

for (const [name, document] of Object.entries(golden.refused)) {
  test(`refuses: ${name}`, () => {
    assert.throws(() => evaluateDocument(document, scene), TrajectoryError)
  })
}

test('names the keyframe and the field', () => {
  const wrong = { version: 1, frames: 9, keyframes: [{ frame: 4, position: [0, 0, NaN], target: [0, 0, 1] }] }
  assert.throws(
    () => parseDocument(wrong),
    (error) =>
      error.keyframe === 0 && error.field === 'position' && error.message.includes('Keyframe 0 (frame 4): position[2]')
  )
})

test('a parsed document is complete and survives its own text', () => {
  for (const { document } of golden.cases) {
    const parsed = parseDocument(document)
    assert.equal(JSON.stringify(parseDocument(JSON.stringify(parsed))), JSON.stringify(parsed))
  }
})

test('a path is written as compactly as Python does, and read back as the same path', () => {
  /** Equal but for what either language makes of a tie in the last decimal. */
  const same = (ours, theirs) => {
    if (typeof theirs === 'number') assert.ok(Math.abs(ours - theirs) <= 1.1e-7 * Math.max(1, Math.abs(theirs)))
    else if (Array.isArray(theirs)) {
      assert.equal(ours.length, theirs.length)
      theirs.forEach((value, i) => same(ours[i], value))
    } else if (typeof theirs === 'object' && theirs) {
      assert.deepEqual(Object.keys(ours).sort(), Object.keys(theirs).sort())
      for (const name of Object.keys(theirs)) same(ours[name], theirs[name])
    } else assert.equal(ours, theirs)
  }
  for (const { name, document, compact } of golden.cases) {
    const parsed = parseDocument(document)
    const text = compactText(parsed)
    same(JSON.parse(text).keyframes, compact)
    const { keyframes, ...top } = parsed
    const { keyframes: again, ...topAgain } = parseDocument(text)
    assert.deepEqual(topAgain, top)
    const [before, after] = [evaluateDocument(parsed, scene), evaluateDocument(text, scene)]
    before.worldToCamera.forEach((pose, i) =>
      assert.ok(apart([...pose], [...after.worldToCamera[i]]) < 1e-6 * Math.max(1, parsed.radius), `${name} ${i}`)
    )
    assert.equal(again.length, keyframes.length)
  }
})

test('a text of many imported poses is short', () => {
  const turn = (i) => [Math.cos(i / 3e3), Math.sin(i / 3e3) * 0.6, Math.sin(i / 3e3) * 0.8, 0]
  const keyframes = Array.from({ length: 1500 }, (_, frame) => ({
    frame,
    position: [Math.sin(frame), Math.cos(frame) / 3, frame / 777],
    quaternion: turn(frame)
  }))
  const text = compactText(parseDocument({ version: 1, frames: 1500, keyframes }))
  assert.ok(text.length < 1500 * 125, `${text.length}`)
})

test('the frame of reference is written only where a path stands in the world, and edits keep it', () => {
  for (const { document } of golden.cases) {
    const parsed = parseDocument(document)
    const said = document.frame_of_reference === 'world' ? 'world' : undefined
    assert.equal('frame_of_reference' in parsed, said !== undefined)
    for (const edited of [bakeDocument(parsed), resampleDocument(parsed, parsed.frames + 3)])
      assert.equal(edited.frame_of_reference, said)
  }
})

test('times are written only where they are set, and a path without them shows frame by frame', () => {
  const timed = { frame: 3, time: 1.5, position: [0, 0, 0], target: [0, 0, 1] }
  const plain = { frame: 9, position: [0, 0, 0], target: [0, 0, 1], time: null }
  const parsed = parseDocument({ version: 1, frames: 10, keyframes: [timed, plain] })
  assert.deepEqual(
    parsed.keyframes.map((key) => 'time' in key),
    [true, false]
  )
  assert.equal(sourceFrame(parsed, 4, 9), 3)
  assert.equal(sourceFrame(parsed, 1, 9), 0)
  assert.equal(sourceFrame(presetDocument('orbit'), 49, 7), 7)
  const beyond = parseDocument({ version: 1, frames: 10, keyframes: [{ ...timed, time: 30 }] })
  assert.equal(sourceFrame(beyond, 4, 3), 3, 'the last frame, for a look; rendering refuses it')
})

test('baking keeps a preset within the tolerance, with few keys', () => {
  for (const { name } of PRESETS) {
    const document = presetDocument(name, { radius: 2 })
    const baked = bakeDocument(document)
    assert.equal(baked.source, null)
    assert.ok(baked.keyframes.length <= 15, `${name}: ${baked.keyframes.length} keys`)
    const [exact, tried] = [evaluateDocument(document), evaluateDocument(baked)]
    exact.position.forEach((p, i) => assert.ok(Math.hypot(...p.map((v, c) => v - tried.position[i][c])) <= 0.04 + 1e-9))
  }
})

test('resampling keeps a path where it was', () => {
  const baked = bakeDocument(presetDocument('orbit', { frames: 49, params: { angle: 60 } }), 0)
  const longer = resampleDocument(baked, 97)
  const back = evaluateDocument(resampleDocument(longer, 25))
  const all = evaluateDocument(baked)
  back.worldToCamera.forEach((pose, i) => assert.ok(apart([...pose], [...all.worldToCamera[2 * i]]) < 1e-9))
})
