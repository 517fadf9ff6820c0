/**
 * Edits of time along a path; as those of edits.js, every function takes a document and returns a new one.
 *
 * @import { EvaluatedPath } from './edits.js'
 * @import { Keyframe, PathDocument } from './pathDocument.js'
 * @import { Ease } from './presets.js'
 */
import { baked, withKey } from './edits.js'
import { sourceTimes } from './time.js'

/** How a whole path may run through the clip. */
export const RUNS = /** @type {const} */ (['filmed', 'half', 'double', 'frozen', 'backwards', 'back'])
/** @typedef {(typeof RUNS)[number]} Run */

/** @param {PathDocument} doc @param {number} frame @param {(key: Keyframe) => Keyframe} change @returns {PathDocument} */
const changed = (doc, frame, change) => ({
  ...doc,
  keyframes: doc.keyframes.map((key) => (key.frame === frame ? change(key) : key))
})

/** @param {Keyframe} key @returns {Keyframe} */
function untimed(key) {
  const { time: _time, time_ease: _ease, ...rest } = key
  return rest
}

/**
 * Shows a frame of the clip at a frame of the path, with a key made there where there is none.
 * @param {PathDocument} doc @param {EvaluatedPath} path of `doc` @param {number} frame @param {number} time
 */
export const withTime = (doc, path, frame, time) =>
  changed(withKey(doc, path, frame), frame, (key) => ({ ...key, time: Math.max(0, Number(time.toFixed(3))) }))

/** Leaves the time of a key to those around it. @param {PathDocument} doc @param {number} frame */
export const withoutTime = (doc, frame) => changed(baked(doc), frame, untimed)

/** Warps the way to a key's time. @param {PathDocument} doc @param {number} frame @param {Ease} ease */
export const withTimeEase = (doc, frame, ease) =>
  changed(baked(doc), frame, (key) => {
    const { time_ease: _ease, ...rest } = key
    return key.time === undefined || ease === 'linear' ? rest : { ...rest, time_ease: ease }
  })

/**
 * Lets the whole path run through the clip in one way; what keys said of time before is gone.
 * @param {PathDocument} doc @param {EvaluatedPath} path of `doc` @param {Run} run @param {number} clipFrames
 * @param {number} frame of the path, whose moment is the frozen one
 */
export function withRun(doc, path, run, clipFrames, frame) {
  const last = doc.frames - 1
  const end = clipFrames - 1
  const now = Math.min(end, Math.max(0, Math.floor(sourceTimes(doc, clipFrames, [frame])[0] + 0.5)))
  const [reached, middle] = [Math.min(last, Math.floor(end / 2)), Math.round((doc.loop ? doc.frames : last) / 2)]
  /** @type {Record<Run, [frame: number, time: number][]>} */
  const moments = {
    filmed: [],
    half: [
      [0, 0],
      [last, Math.min(end, last / 2)]
    ],
    double: [
      [0, 0],
      [reached, Math.min(end, 2 * reached)],
      [last, Math.min(end, 2 * last)]
    ],
    frozen: [
      [0, now],
      [last, now]
    ],
    backwards: [
      [0, end],
      [last, 0]
    ],
    back: [[0, 0], [middle, end], ...(doc.loop ? [] : [/** @type {[number, number]} */ ([last, 0])])]
  }
  const keyed = baked(doc)
  const plain = { ...keyed, keyframes: keyed.keyframes.map(untimed) }
  return moments[run].reduce((next, [at, time]) => withTime(next, path, at, time), plain)
}
