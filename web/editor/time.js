// Which moment of the clip each frame of a path shows, where its keys say so; the twin of ex4d_core/trajectory/time.py.
// No side effects.

/** @import { PathDocument } from './pathDocument.js' */

/**
 * Whether some key says which frame of the clip it shows.
 * @param {PathDocument} doc
 */
export const setsTheTime = (doc) => !doc.source && doc.keyframes.some((key) => key.time !== undefined)

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
  const anchors = timedKeys(doc)
  const last = doc.frames - 1
  if (anchors[0][0] > 0) anchors.unshift([0, 0])
  if (anchors[anchors.length - 1][0] < last) anchors.push([last, clipFrames - 1])
  return Math.min(Math.max(Math.floor(between(anchors, frame) + 0.5), 0), clipFrames - 1)
}

/**
 * Times at some frames of the path, as far as its keys tell them without knowing the clip; for keys put there.
 * @param {PathDocument} doc @param {number[]} frames may be fractional @returns {(number | undefined)[]}
 */
export function keyTimes(doc, frames) {
  const anchors = setsTheTime(doc) ? timedKeys(doc) : []
  return frames.map((frame) =>
    anchors.length && frame >= anchors[0][0] && frame <= anchors[anchors.length - 1][0]
      ? between(anchors, frame)
      : undefined
  )
}

/** @param {PathDocument} doc @returns {[number, number][]} frame and time of the keys that have one */
const timedKeys = (doc) => doc.keyframes.flatMap((key) => (key.time === undefined ? [] : [[key.frame, key.time]]))

/** @param {[number, number][]} anchors @param {number} frame within them */
function between(anchors, frame) {
  const next = anchors.findIndex(([at]) => at > frame)
  if (next === 0) return anchors[0][1]
  if (next < 0) return anchors[anchors.length - 1][1]
  const [[start, from], [end, to]] = [anchors[next - 1], anchors[next]]
  return from + ((to - from) / (end - start)) * (frame - start)
}
