// Paths that are closed: the frame after the last would be the first; the twin of ex4d_core/trajectory/loop.py. No side
// effects.

import { presetNamed } from './pathDocument.js'

/** @import { Keyframe, PathDocument } from './pathDocument.js' */
/** @import { Values } from './presets.js' */

/** Share of the radius, and degrees of roll, by which a preset's end may miss its beginning and still be closed. */
const CLOSED = 1e-6

/**
 * The keys of one round, and one more on either side for the slopes at its ends; see ex4d_core/trajectory/loop.py.
 * @param {PathDocument} doc a loop with keyframes
 * @returns {Keyframe[]}
 */
export function roundOfKeys(doc) {
  const { keyframes: keys, frames: length } = doc
  const count = keys.length
  const aims = keys.map((key) => key.target !== undefined)
  const first = Math.max(
    0,
    aims.findIndex((aim, i) => aim !== aims[(i + count - 1) % count])
  )
  const spin = 360 * Math.floor((keys[count - 1].roll - keys[0].roll) / 360 + 0.5)
  return Array.from({ length: count + 3 }, (_, i) => {
    const index = first - 1 + i
    const rounds = Math.floor(index / count)
    const key = keys[index - rounds * count]
    return { ...key, frame: key.frame + rounds * length, roll: key.roll + rounds * spin }
  })
}

/**
 * At which frames of its plain path, 0 .. frames - 1, a looping preset is.
 * @param {PathDocument} doc @param {number[]} times frames of the loop, 0 .. frames
 */
export function framesOfPreset(doc, times) {
  const last = doc.frames - 1
  if (goesRound(doc)) return times.map((time) => time * (last / doc.frames))
  return times.map((time) => last * (0.5 - 0.5 * Math.cos((2 * Math.PI * time) / doc.frames)))
}

/** Whether a preset ends where it began, and does not bend time. @param {PathDocument} doc */
function goesRound(doc) {
  if (!doc.source) return false
  const preset = presetNamed(doc.source.preset)
  if (preset.schedule) return false
  const values = /** @type {Values} */ (doc.source.params)
  const [start, end] = [0, 1].map((u) => preset.formula(u, values, doc.radius, doc.pivot))
  const apart = (/** @type {number[]} */ a, /** @type {number[]} */ b) =>
    Math.max(...a.map((v, i) => Math.abs(v - b[i])))
  const moved = Math.max(apart(start.position, end.position), apart(start.target, end.target))
  const roll = end.roll - start.roll
  return moved <= CLOSED * doc.radius && Math.abs(roll - 360 * Math.round(roll / 360)) <= CLOSED
}
