// Time along a path as it is edited: keys that say a moment, whole runs, the row of the timeline, what is passed through.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Commands } from '../../web/editor/commands.js'
import { IDENTITY_POSE } from '../../web/editor/math.js'
import { Modes } from '../../web/editor/modes.js'
import { isSourceView, sourceLensAt, sourceWay } from '../../web/editor/sourceCamera.js'
import { setsTheTime, sourceFrame } from '../../web/editor/time.js'
import { RUNS } from '../../web/editor/timeEdits.js'
import { TimeRow, paceWord } from '../../web/editor/timeRow.js'
import { presetDocument } from '../../web/editor/trajectory.js'
import { lens, orbit, stateOf } from './paths.mjs'

/** An editor's state over a clip of so many frames. */
function over(clipFrames, document = orbit()) {
  const made = stateOf(document)
  made.state.setScene({ radius: 2, pivot: [0, 0, 2], frames: clipFrames, intrinsics: lens })
  return { ...made, commands: new Commands(made.state) }
}

/** The frames of the clip that a path shows. */
const shown = ({ document, clipFrames }) =>
  Array.from({ length: document.frames }, (_, i) => sourceFrame(document, clipFrames, i))
const timed = (state) =>
  state.document.keyframes.filter((key) => key.time !== undefined).map((key) => [key.frame, key.time])

test('a time is set as it is shown, moved by frames, and cleared; each is one step of undo', () => {
  const { state, commands } = over(49)
  state.goTo(20)
  commands.toggleTime()
  assert.deepEqual(timed(state), [[20, 20]])
  assert.equal(state.selected, 20)
  commands.shiftTime(-10)
  commands.shiftTime(-1)
  state.settle()
  assert.deepEqual(timed(state), [[20, 9]])
  assert.equal(shown(state)[48], 48, 'after the last time the clip runs to its end')
  commands.toggleTime()
  assert.ok(!setsTheTime(state.document))
  state.undo()
  assert.deepEqual(timed(state), [[20, 9]])
  state.undo()
  assert.deepEqual(timed(state), [[20, 20]])
  commands.shiftTime(100)
  assert.deepEqual(timed(state), [[20, 48]], 'never beyond the clip')
})

test('a whole path runs slow, fast, frozen, backwards, there and back, and as filmed again', () => {
  for (const clip of [49, 25, 81]) {
    const { state, commands } = over(clip)
    const end = clip - 1
    state.goTo(12)
    const runs = Object.fromEntries(
      RUNS.map((run) => {
        commands.runThrough(run)
        const frames = shown(state)
        assert.ok(run === 'filmed' || Math.max(...frames) <= end, run)
        if (run === 'filmed') assert.deepEqual(timed(state), [])
        if (run === 'frozen') commands.runThrough('filmed')
        return [run, frames]
      })
    )
    assert.deepEqual(runs.backwards.slice(0, 1).concat(runs.backwards.slice(-1)), [end, 0])
    assert.deepEqual(
      [0, 24, 48].map((i) => runs.back[i]),
      [0, end, 0]
    )
    assert.deepEqual(
      [0, 10].map((i) => runs.half[i]),
      [0, 5]
    )
    assert.deepEqual(
      [0, 10].map((i) => runs.double[i]),
      [0, 20]
    )
    assert.equal(new Set(runs.frozen).size, 1)
  }
})

test('a closed path goes there and back without a key at its end', () => {
  const { state, commands } = over(25, presetDocument('orbit', { frames: 48, params: { angle: 360 } }))
  commands.toggleClosed()
  assert.equal(state.document.loop, true)
  assert.equal(state.document.source.preset, 'orbit', 'a preset may be closed')
  commands.runThrough('back')
  assert.deepEqual(timed(state), [
    [0, 0],
    [24, 24]
  ])
  assert.deepEqual(
    [1, 47].map((i) => shown(state)[i]),
    [1, 1]
  )
  commands.toggleClosed()
  assert.ok(!('loop' in state.document))
})

test('baked bullet time can be bent on', () => {
  const { state, commands } = over(33, presetDocument('bullet_time', { frames: 49 }))
  const before = shown(state)
  state.goTo(32)
  commands.shiftTime(4)
  assert.deepEqual(shown(state).slice(0, 17), before.slice(0, 17))
  assert.equal(shown(state)[32], 20)
})

test('the row names what time does between keys', () => {
  const moment = (frame, time) => ({ frame, time, ease: 'linear' })
  assert.equal(paceWord(moment(0, 5), moment(10, 5)), 'hold')
  assert.equal(paceWord(moment(0, 0), moment(10, 10)), '')
  assert.equal(paceWord(moment(0, 0), moment(10, 5)), '×0.5')
  assert.equal(paceWord(moment(0, 10), moment(10, 0)), 'reverse')
  assert.equal(paceWord(moment(0, 30), moment(10, 0)), 'reverse ×3')
})

test('a point of the row is dragged to whole frames of the clip, with Alt to any moment', () => {
  const { state, commands } = over(41)
  commands.runThrough('backwards')
  const row = new TimeRow({ state, commands, modes: new Modes(), pace: { touch: () => {} }, theme: {} })
  assert.ok(row.shown)
  const strip = { unit: 1, top: 0, bottom: 54, left: 0, right: 480, x: (frame) => 10 * frame }
  // Forty pixels for forty frames: 40 at the top, 0 at the bottom.
  assert.equal(row.keyUnder(strip, { x: 2, y: 9 }), 0)
  assert.equal(row.keyUnder(strip, { x: 478, y: 45 }), 48)
  assert.equal(row.keyUnder(strip, { x: 2, y: 45 }), null)
  const { move } = row.drag(0, strip, (event) => event.y)
  move({ y: 26.8 })
  assert.deepEqual(timed(state)[0], [0, 20])
  move({ y: 26.8, altKey: true })
  assert.ok(Math.abs(timed(state)[0][1] - 20.2) < 1e-6)
  move({ y: -300 })
  assert.deepEqual(timed(state)[0], [0, 40])
  state.undo()
})

test('the row is shown where time is bent, or asked for', () => {
  const modes = new Modes()
  const row = (state) => new TimeRow({ state, commands: null, modes, pace: null, theme: {} })
  assert.ok(!row(over(49).state).shown)
  assert.ok(row(over(49, presetDocument('bullet_time')).state).shown)
  modes.toggle('timing')
  assert.ok(row(over(49).state).shown)
  const again = new Modes()
  again.recall(modes.kept())
  assert.ok(again.timing)
})

test('the first frame is passed through at the place and with the lens of the source alone', () => {
  const { width, height } = lens
  const header = { width, height, source: [width, height], intrinsics: lens, frame_numbers: [0, 8], clip_frames: 9 }
  const zoomed = {
    ...header,
    source_lenses: [
      [lens.fx, lens.fy, lens.cx, lens.cy],
      [2 * lens.fx, 2 * lens.fy, lens.cx, lens.cy]
    ]
  }
  const pose = [...IDENTITY_POSE]
  assert.ok(isSourceView({ pose, intrinsics: lens }, header, 0))
  assert.ok(!isSourceView({ pose, intrinsics: { ...lens, fy: 1.001 * lens.fy } }, header, 0))
  assert.ok(!isSourceView({ pose, intrinsics: { ...lens, width: 2 * lens.width } }, header, 0))
  assert.ok(!isSourceView({ pose, intrinsics: lens }, zoomed, 1))
  assert.ok(isSourceView({ pose, intrinsics: sourceLensAt(zoomed, 7) }, zoomed, 1))
  pose[3] = 2e-4
  assert.ok(!isSourceView({ pose, intrinsics: lens }, header, 0))
})

test('a path that rides on a zooming camera zooms with it, unless it says a lens', () => {
  const { state } = over(49)
  const zoom = (frame) => ({ ...lens, fx: lens.fx + frame, fy: lens.fy + frame })
  state.setScene({ ...state.scene, lensAt: zoom })
  state.goTo(9)
  assert.equal(state.camera().intrinsics.fx, lens.fx + 9)
  new Commands(state).runThrough('backwards')
  assert.equal(state.camera().intrinsics.fx, lens.fx + 39)
  state.edit('world', (document) => ({ ...document, frame_of_reference: 'world' }))
  assert.equal(state.camera().intrinsics.fx, lens.fx)
  state.undo()
  state.editKey('fov', (key) => ({ ...key, fov: 40 }))
  assert.ok(state.camera().intrinsics.fx < 2 * lens.fx)
})

test('the way of a source camera is drawn where the path stands in the world', () => {
  const right = [1, 0, 0, -1, 0, 1, 0, 0, 0, 0, 1, 0]
  const header = { source_poses: [IDENTITY_POSE.slice(0, 12), right] }
  const world = presetDocument('orbit', { frame_of_reference: 'world' })
  assert.deepEqual(
    sourceWay(header, world).map((eye) => Math.round(eye[0]) + 0),
    [0, 1]
  )
  assert.deepEqual(sourceWay(header, orbit()), [])
  assert.deepEqual(sourceWay({}, world), [])
})
