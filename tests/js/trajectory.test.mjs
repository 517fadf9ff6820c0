// The browser's camera paths against the golden file that Python wrote, and what only the browser does.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import {
  EASES,
  INTERPOLATIONS,
  PRESETS,
  TrajectoryError,
  bakeDocument,
  evaluateDocument,
  parseDocument,
  presetDocument,
  resampleDocument
} from '../../web/editor/trajectory.js'

const golden = JSON.parse(readFileSync(new URL('../golden/trajectory.json', import.meta.url), 'utf8'))
const [fx, fy, cx, cy, width, height] = golden.scene
const scene = { intrinsics: { fx, fy, cx, cy, width, height } }

/** Largest difference of two lists of numbers. */
const apart = (a, b) =>
  a.reduce((most, v, i) => Math.max(most, Math.abs(v - b[i])), a.length === b.length ? 0 : Infinity)

for (const { name, document, times, world_to_camera, intrinsics, baked } of golden.cases) {
  test(`evaluates like Python: ${name}`, () => {
    const path = evaluateDocument(document, scene, times)
    world_to_camera.forEach((pose, i) => {
      assert.ok(apart(pose, [...path.worldToCamera[i]]) < 1e-9, `pose at frame ${times[i]}`)
      const k = path.intrinsics[i]
      assert.ok(apart(intrinsics[i], [k.fx, k.fy, k.cx, k.cy, k.width, k.height]) < 1e-7, `lens at frame ${times[i]}`)
    })
    assert.deepEqual(
      bakeDocument(parseDocument(document)).keyframes.map((key) => key.frame),
      baked
    )
  })
}

test('choices are the same as in Python', () => {
  assert.deepEqual(EASES, golden.eases)
  assert.deepEqual(INTERPOLATIONS, golden.interpolations)
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
