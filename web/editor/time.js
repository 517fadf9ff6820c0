// Which moment of the clip each frame of a path shows, where its keys or its preset say so; the twin of
// ex4d_core/trajectory/time.py. No side effects.

import { eased } from './curves.js'
import { framesOfPreset } from './loop.js'
import { presetNamed } from './pathDocument.js'

/** @import { PathDocument } from './pathDocument.js' */
/** @import { Values } from './presets.js' */
/** @typedef {{frame: number, time: number, ease: string}} Moment a frame of the path, what it shows, the warp of the way to it */

/**
 * Whether a path says which frames of the clip it shows.
 * @param {PathDocument} doc
 */
export const setsTheTime = (doc) =>
  doc.source ? !!presetNamed(doc.source.preset).schedule : doc.keyframes.some((key) => key.time !== undefined)

/**
 * The time of the clip at frames of the path: as the keys or the preset say, else the frame's own number.
 * @param {PathDocument} doc
 * @param {number} clipFrames length of the clip
 * @param {number[]} frames of the path, may be fractional
 * @returns {number[]} may be fractional, and beyond the clip, which rendering refuses
 */
export function sourceTimes(doc, clipFrames, frames) {
  if (!setsTheTime(doc)) return frames
  if (doc.source) return presetTimes(doc, frames)
  const moments = momentsAlong(doc, clipFrames)
  return frames.map((frame) => timeAt(moments, frame))
}

/**
 * The moments between which a path's time runs, from its first frame to its last: of keys, of a preset's stops, and the
 * clip's ends; empty where nothing bends time. Of a loop the round goes on before and after.
 * @param {PathDocument} doc @param {number} clipFrames length of the clip @returns {Moment[]}
 */
export function momentsAlong(doc, clipFrames) {
  const known = along.get(doc)
  if (known?.clipFrames === clipFrames) return known.moments
  const moments = allMoments(doc, clipFrames)
  along.set(doc, { clipFrames, moments })
  return moments
}

/** Documents are values, asked for every frame: what was found is kept. @type {WeakMap<PathDocument, {clipFrames: number, moments: Moment[]}>} */
const along = new WeakMap()

/** @param {PathDocument} doc @param {number} clipFrames @returns {Moment[]} */
function allMoments(doc, clipFrames) {
  if (!setsTheTime(doc)) return []
  if (doc.source) return stopsOf(doc)
  const moments = momentsOf(doc)
  if (doc.loop) return moments
  const last = doc.frames - 1
  if (moments[0].frame > 0) moments.unshift({ frame: 0, time: 0, ease: 'linear' })
  if (moments[moments.length - 1].frame < last) moments.push({ frame: last, time: clipFrames - 1, ease: 'linear' })
  return moments
}

/**
 * The frame of the clip that a frame of the path shows: the nearest to its time, halves rounded up. A time beyond the clip,
 * which rendering refuses, shows its last frame.
 * @param {PathDocument} doc
 * @param {number} clipFrames length of the clip
 * @param {number} frame of the path
 */
export function sourceFrame(doc, clipFrames, frame) {
  if (clipFrames === 1) return 0
  if (!setsTheTime(doc)) return frame
  return Math.min(Math.max(Math.floor(sourceTimes(doc, clipFrames, [frame])[0] + 0.5), 0), clipFrames - 1)
}

/**
 * Times at some frames of the path, as far as it tells them without knowing the clip; for keys put there.
 * @param {PathDocument} doc @param {number[]} frames may be fractional @returns {(number | undefined)[]}
 */
export function keyTimes(doc, frames) {
  if (!setsTheTime(doc)) return frames.map(() => undefined)
  if (doc.source) return presetTimes(doc, frames)
  const moments = momentsOf(doc)
  return frames.map((frame) =>
    frame >= moments[0].frame && frame <= moments[moments.length - 1].frame ? timeAt(moments, frame) : undefined
  )
}

/** @param {PathDocument} doc with a preset that bends time @param {number[]} frames */
function presetTimes(doc, frames) {
  const moments = stopsOf(doc)
  return (doc.loop ? framesOfPreset(doc, frames) : frames).map((frame) => timeAt(moments, frame))
}

/** Where a preset's time turns, of its plain path. @param {PathDocument} doc @returns {Moment[]} */
function stopsOf(doc) {
  if (!doc.source) return []
  const values = /** @type {Values} */ (doc.source.params)
  const stops = presetNamed(doc.source.preset).schedule?.(values, doc.frames - 1) ?? []
  return stops.map(([frame, , time]) => ({ frame, time, ease: 'linear' }))
}

/** The keys with a time; of a loop a whole round and more. @param {PathDocument} doc @returns {Moment[]} */
function momentsOf(doc) {
  const moments = doc.keyframes.flatMap(({ frame, time, time_ease: ease = 'linear' }) =>
    time === undefined ? [] : [{ frame, time, ease }]
  )
  if (!doc.loop) return moments
  const [first, last] = [moments[0], moments[moments.length - 1]]
  return [{ ...last, frame: last.frame - doc.frames }, ...moments, { ...first, frame: first.frame + doc.frames }]
}

/** @param {Moment[]} moments @param {number} frame */
function timeAt(moments, frame) {
  const last = moments.length - 1
  if (frame < moments[0].frame) return moments[0].time
  if (frame >= moments[last].frame) return moments[last].time
  let [low, high] = [0, last]
  while (high - low > 1) {
    const middle = (low + high) >> 1
    if (moments[middle].frame > frame) high = middle
    else low = middle
  }
  const [from, to] = [moments[low], moments[high]]
  const width = to.frame - from.frame
  const at = to.ease === 'linear' ? frame : from.frame + width * eased((frame - from.frame) / width, to.ease)
  return from.time + ((to.time - from.time) / width) * (at - from.frame)
}
