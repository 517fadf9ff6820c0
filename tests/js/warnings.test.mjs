import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as edits from '../../web/editor/edits.js'
import * as maths from '../../web/editor/math.js'
import { presetDocument } from '../../web/editor/trajectory.js'
import { Warnings } from '../../web/editor/warnings.js'
import { stateOf } from './paths.mjs'

/** What a preview's header says of its lens. */
const seenThrough = (lens) => ({
  width: lens.width,
  height: lens.height,
  source: [lens.width, lens.height],
  intrinsics: lens
})

test('a frame that could not be drawn stops no other from being measured, and waits for its camera', async (t) => {
  const { state } = stateOf(presetDocument('orbit', { frames: 5, radius: 2, params: { angle: 60, rise: 0 } }))
  const header = { frames: 1, frame_numbers: [0], clip_frames: 1, ...seenThrough(state.lens) }
  const clip = { header, frames: [], loaded: 1, indexOf: () => 0 }
  /** Cameras that were drawn, by frame. @type {number[]} */
  const drawn = []
  /** What was asked to be drawn. */
  const redrawn = []
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
  const warnings = new Warnings({
    state,
    scene: { clip },
    renderer,
    modes: { memory: true },
    isBusy: () => false,
    redraw: (part) => redrawn.push(part ?? 'all')
  })
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
  // The timeline follows every frame; the shot and the status line once all are known.
  assert.deepEqual(redrawn, ['time', 'time', 'time', 'time', 'time', 'all'])

  broken = false
  state.goTo(2)
  state.editKey('dolly', (key) => edits.dollied(key, state.document.pivot, 1.5))
  warnings.refresh()
  await settled([0, 0.25, 0.25, 0.25, 0.25])
  warnings.dispose()
})

test('frames are measured though nothing can be drawn, or asked whether something moves', async (t) => {
  const { state } = stateOf(presetDocument('orbit', { frames: 4, radius: 2, params: { angle: 60, rise: 0 } }))
  const header = { frames: 1, frame_numbers: [0], clip_frames: 1, ...seenThrough(state.lens) }
  const clip = { header, frames: [], loaded: 1, indexOf: () => 0 }
  t.mock.method(console, 'error', () => {})
  let asked = 0
  const warnings = new Warnings({
    state,
    scene: { clip },
    renderer: { lost: false, holeShare: async () => 0.5 },
    modes: { memory: true },
    isBusy: () => {
      if (++asked === 2) throw new Error('not known')
      return false
    },
    redraw: () => {
      throw new Error('not drawn')
    }
  })
  warnings.refresh()
  for (let wait = 0; wait < 100 && warnings.holes.includes(-1); wait++)
    await new Promise((done) => setTimeout(done, 20))
  assert.deepEqual(warnings.holes, [0, 0.5, 0.5, 0.5])
  warnings.dispose()
})
