/**
 * What buttons and keys do to the path, at the playhead.
 *
 * @import { Vec3 } from './math.js'
 * @import { EditorState } from './state.js'
 * @import { Run } from './timeEdits.js'
 */
import { baked, dollied, freeFrame, keyAt, orbited, placeKey, removeKey, withKey, withPivot } from './edits.js'
import { fovOf, radians } from './math.js'
import { sourceTimes } from './time.js'
import { withRun, withTime, withoutTime } from './timeEdits.js'

export class Commands {
  /** @param {EditorState} state */
  constructor(state) {
    this.state = state
  }

  // ------------------------------------------------------------------------------------------------------------ camera

  /** Carries the camera around the pivot. @param {number} right degrees @param {number} up degrees */
  nudge(right, up) {
    const { state } = this
    state.editKey('orbit', (key) => orbited(key, state.document.pivot, radians(right), radians(up)))
  }

  /** Towards the pivot (factor < 1) or away from it. @param {number} factor */
  dolly(factor) {
    const { state } = this
    state.editKey('dolly', (key) => dollied(key, state.document.pivot, factor))
  }

  /** Widens the field of view. @param {number} steps of 4 % */
  zoomLens(steps) {
    const camera = this.state.camera()
    if (!camera) return
    const fov = Math.min(150, Math.max(2, fovOf(camera.intrinsics) * 1.04 ** steps))
    this.state.editKey('fov', (key) => ({ ...key, fov }))
  }

  /** @param {Vec3} pivot */
  setPivot(pivot) {
    this.state.edit('pivot', (document) => withPivot(baked(document), pivot))
    this.state.settle()
  }

  // -------------------------------------------------------------------------------------------------------------- keys

  /** Adds a key at the playhead, or removes the one there. */
  toggleKey() {
    const { state } = this
    if (state.isKey(state.frame)) {
      this.removeKey()
      return
    }
    this.addKey(state.frame)
    state.settle()
  }

  /** @param {number} frame */
  addKey(frame) {
    this.state.edit('add key', (document, path) => withKey(document, path, frame))
    this.state.select(frame)
  }

  /** Removes the selected key, else the one at the playhead. */
  removeKey() {
    const { state } = this
    const frame = state.selected ?? state.frame
    if (!state.isKey(frame)) return
    state.edit('delete key', (document) => removeKey(document, frame))
    state.settle()
  }

  /** Copies the selected key, else the one at the playhead, to the next free frame. */
  duplicateKey() {
    const { state } = this
    const key = keyAt(state.document, state.selected ?? state.frame)
    if (state.document.source || !key) return
    const to = freeFrame(state.document, key.frame)
    if (to < 0) return
    state.edit('copy key', (document) => placeKey(document, key, to))
    state.settle()
    state.goTo(to)
    state.select(to)
  }

  // -------------------------------------------------------------------------------------------------------------- time

  /** Says which frame of the clip a key shows, as it does now, or leaves that to the keys around it. @param {number} frame */
  toggleTime(frame = this.state.frame) {
    const { state } = this
    const timed = !state.document.source && keyAt(state.document, frame)?.time !== undefined
    if (timed) state.edit('clear time', (document) => withoutTime(document, frame))
    else state.edit('set time', (document, path) => withTime(document, path, frame, this.shownAt(frame)))
    state.settle()
    if (state.isKey(frame)) state.select(frame)
  }

  /** The whole frame of the clip that a frame of the path shows, within the clip. @param {number} frame */
  shownAt(frame) {
    const { document, clipFrames } = this.state
    return Math.min(clipFrames - 1, Math.floor(sourceTimes(document, clipFrames, [frame])[0] + 0.5))
  }

  /** Shows a later moment of the clip at the playhead, or an earlier one. @param {number} frames of the clip */
  shiftTime(frames) {
    const { state } = this
    const { frame, clipFrames } = state
    const time = Math.min(clipFrames - 1, Math.max(0, this.shownAt(frame) + frames))
    if (state.edit(`time ${frame}`, (document, path) => withTime(document, path, frame, time))) state.select(frame)
  }

  /** Lets the whole path run through the clip in one way. @param {Run} run */
  runThrough(run) {
    const { state } = this
    const { frame, clipFrames } = state
    state.edit('run', (document, path) => withRun(document, path, run, clipFrames, frame))
    state.settle()
  }

  /** Closes the path, or opens it again. */
  toggleClosed() {
    const { state } = this
    state.edit('closed', ({ loop, ...document }) => (loop ? document : { ...document, loop: true }))
    state.settle()
  }

  // ------------------------------------------------------------------------------------------------------------- moving

  /** The playhead to the next or previous key; of a preset, to its ends. @param {1 | -1} way */
  jump(way) {
    const { state } = this
    const { source, frames, keyframes } = state.document
    const stops = source ? [0, frames - 1] : keyframes.map((key) => key.frame)
    const next =
      way > 0 ? stops.find((frame) => frame > state.frame) : stops.reverse().find((frame) => frame < state.frame)
    if (next === undefined) return
    state.goTo(next)
    state.select(source ? null : next)
  }
}
