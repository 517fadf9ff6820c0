// The camera path in the browser: evaluates, bakes and resamples the trajectory document (one JSON string, the editor's
// only truth). The twin of ex4d_core/trajectory; tests/golden/trajectory.json holds the two together. No side effects.
//
//   presetDocument / JSON -> parseDocument -> evaluateDocument -> one pose and lens a frame
//
// World and camera are OpenCV: x right, y down, z forward; the source camera is the identity.

import { curve, eased, segmentsOf } from './curves.js'
import { length, normalize, radians, sub } from './math.js'
import { MAX_FRAMES, SHORTEST, TrajectoryError, parseDocument, presetNamed, show } from './pathDocument.js'
import {
  carryRight,
  closedRights,
  matrixFromQuaternion,
  poseFrom,
  quaternionFromMatrix,
  rolled,
  rotationFromAxes,
  slerp,
  verticalFov
} from './poses.js'
import { framesOfPreset, roundOfKeys } from './loop.js'
import { keyTimes, setsTheTime } from './time.js'

export {
  DEFAULT_RADIUS,
  FRAMES_OF_REFERENCE,
  INTERPOLATIONS,
  MAX_FRAMES,
  TrajectoryError,
  VERSION,
  compactText,
  parseDocument,
  presetDocument,
  presetNamed
} from './pathDocument.js'
export { EASES, PRESETS, framesFor } from './presets.js'
export { eased }

/** @import { Intrinsics, Vec3 } from './math.js' */
/** @import { Keyframe, PathDocument } from './pathDocument.js' */
/** @import { Mat3 } from './poses.js' */
/** @import { Preset, Shot, Values } from './presets.js' */
/**
 * @typedef {{radius?: number, pivot?: ArrayLike<number> | null, intrinsics?: Intrinsics | null}} Scene what the
 *   connected mesh tells
 */
/**
 * @typedef {object} Evaluated one entry a time
 * @property {number[]} times frames
 * @property {Float64Array[]} worldToCamera sixteen numbers, row by row
 * @property {Vec3[]} position
 * @property {Mat3[]} rotation camera-to-world, nine numbers row by row, roll included
 * @property {number[] | null} fov
 * @property {[number, number][]} lensShift
 * @property {Intrinsics[] | null} intrinsics null where neither path nor scene tells the lens
 */

export const BAKE_TOLERANCE = 0.02
/** Frames of the clip by which a baked path's moments may be off. */
const BAKED_TIME = 0.25

/**
 * Poses and lenses of a path from outside, which is checked first.
 * @param {string | object} document
 * @param {Scene | null} [scene]
 * @param {number[] | null} [times]
 * @returns {Evaluated}
 */
export function evaluateDocument(document, scene = null, times = null) {
  return evaluate(parseDocument(document), scene, times)
}

/**
 * Poses and lenses of a path.
 * @param {PathDocument} doc
 * @param {Scene | null} [scene] its lens is inherited where the path leaves it open
 * @param {number[] | null} [times] increasing frames, may be fractional; null = every frame
 * @returns {Evaluated}
 */
export function evaluate(doc, scene = null, times = null) {
  const lens = scene?.intrinsics ?? null
  const wanted = times ?? Array.from({ length: doc.frames }, (_, i) => i)
  const keys = doc.loop && !doc.source ? roundOfKeys(doc) : doc.keyframes
  const begin = doc.loop && !doc.source ? keys[1].frame : 0
  const reached = wanted.map((time) => (time < begin ? time + doc.frames : time))
  const whole = steps(doc.loop ? doc.frames : doc.frames - 1).map((time) => begin + time)
  const walk = merged(whole, reached)
  const along = walked(doc, keys, walk, lens)
  /** @type {Evaluated} */
  const result = {
    times: wanted,
    worldToCamera: [],
    position: [],
    rotation: [],
    fov: along.fov ? [] : null,
    lensShift: [],
    intrinsics: null
  }
  const place = new Map(walk.map((time, i) => [time, i]))
  for (const time of reached) {
    const i = /** @type {number} */ (place.get(time))
    const rotation = rolled(along.rotation[i], along.roll[i])
    result.position.push(along.position[i])
    result.rotation.push(rotation)
    result.worldToCamera.push(poseFrom(rotation, along.position[i]))
    result.lensShift.push(along.shift[i])
    if (along.fov) result.fov?.push(along.fov[i])
  }
  result.intrinsics = lenses(doc, result.fov, result.lensShift, lens)
  return result
}

/** Every frame and evenly many times between: at least 128 steps, at least 2 a frame. @param {number} last */
function steps(last) {
  if (last === 0) return [0]
  const within = Math.max(2, Math.ceil(128 / last))
  return Array.from({ length: last * within + 1 }, (_, i) => i / within)
}

/** Both lists as one, increasing, without doubles. @param {number[]} a @param {number[]} b */
function merged(a, b) {
  const all = [...a, ...b].sort((x, y) => x - y)
  return all.filter((value, i) => i === 0 || value !== all[i - 1])
}

/**
 * @param {PathDocument} doc @param {Keyframe[]} keys @param {number[]} times @param {Intrinsics | null} lens
 * @returns {{position: Vec3[], rotation: Mat3[], roll: number[], fov: number[] | null, shift: [number, number][]}}
 */
function walked(doc, keys, times, lens) {
  if (doc.source) {
    const shots = presetShots(doc, times)
    const position = shots.map((s) => s.position)
    const rotation = level(
      position,
      shots.map((s) => s.target),
      times,
      doc
    )
    return { position, rotation, roll: shots.map((s) => s.roll), fov: null, shift: times.map(() => [0, 0]) }
  }
  const keyFrames = keys.map((key) => key.frame)
  const at = segmentsOf(
    times,
    keyFrames,
    keys.map((key) => key.ease)
  )
  /** @param {number[][]} values @param {string} [mode] */
  const along = (values, mode = doc.interpolation) => curve(at.segment, at.share, keyFrames, values, mode)
  // A curve that overshoots could leave the range of possible lenses.
  const fovMode = doc.interpolation === 'catmull-rom' ? 'smooth' : doc.interpolation
  const position = /** @type {Vec3[]} */ (along(keys.map((key) => key.position)))
  const rotation = keyedRotation(doc, keys, times, at, position)
  const fovs = keyFovs(keys, sceneLens(doc, lens))
  return {
    position,
    rotation,
    roll: along(keys.map((key) => [key.roll])).map((v) => v[0]),
    fov:
      fovs &&
      along(
        fovs.map((fov) => [fov]),
        fovMode
      ).map((v) => v[0]),
    shift: /** @type {[number, number][]} */ (along(keys.map((key) => key.lens_shift)))
  }
}

/** Positions and targets of a document's preset. @param {PathDocument} doc @param {number[]} times @returns {Shot[]} */
export function presetShots(doc, times) {
  if (!doc.source) return []
  const preset = presetNamed(doc.source.preset)
  const { ease, ...params } = doc.source.params
  const values = /** @type {Values} */ (params)
  const walked = doc.loop ? framesOfPreset(doc, times) : times
  return progressAt(walked, stopsOf(preset, values, doc.frames - 1), String(ease)).map((u) =>
    preset.formula(u, values, doc.radius, doc.pivot)
  )
}

/**
 * Frames from 0 to the last, and a preset's progress there; its sharp turns are on whole ones.
 * @param {Preset} preset @param {Values} values @param {number} last @returns {[number, number][]}
 */
function stopsOf(preset, values, last) {
  if (preset.schedule) return preset.schedule(values, last).map(([frame, progress]) => [frame, progress])
  if (last === 0) return [[0, 0]]
  const turns = last > 1 ? preset.turns : []
  return [[0, 0], ...turns.map((turn) => /** @type {[number, number]} */ ([whole(turn * last, last), turn])), [last, 1]]
}

/** @param {number} frame @param {number} last @returns {number} the nearest whole frame between first and last */
const whole = (frame, last) => Math.max(1, Math.min(Math.floor(frame + 0.5), last - 1))

/** @param {number[]} times @param {[number, number][]} stops @param {string} ease */
function progressAt(times, stops, ease) {
  return times.map((time) => {
    let value = 0
    for (let i = 0; i + 1 < stops.length; i++) {
      const [[start, before], [end, after]] = [stops[i], stops[i + 1]]
      if (end > start && time >= start && time <= end)
        value = before + (after - before) * eased((time - start) / (end - start), ease)
    }
    return value
  })
}

/**
 * Times that are a whole round of a loop end as they begin.
 * @param {Vec3[]} position @param {Vec3[]} target @param {number[]} times @param {PathDocument} doc @returns {Mat3[]}
 */
function level(position, target, times, doc) {
  const forward = position.map((p, i) => {
    const direction = sub(target[i], p)
    if (length(direction) < SHORTEST) {
      throw new TrajectoryError(
        `At frame ${times[i] % doc.frames} the camera is exactly at its target, so it has no direction to look in. ` +
          'Move the keyframes around it so that the path passes beside the target.'
      )
    }
    return normalize(direction)
  })
  let rights = carryRight(forward)
  if (doc.loop && times[times.length - 1] - times[0] === doc.frames) {
    const share = times.map((time) => (time - times[0]) / doc.frames)
    rights = closedRights(rights, forward, share)
  }
  return forward.map((f, i) => rotationFromAxes(rights[i], f))
}

/**
 * @param {PathDocument} doc @param {Keyframe[]} keys @param {number[]} times
 * @param {{segment: number[], share: number[]}} at @param {Vec3[]} position @returns {Mat3[]}
 */
function keyedRotation(doc, keys, times, at, position) {
  const keyFrames = keys.map((key) => key.frame)
  const aims = keys.map((key) => key.target !== undefined)
  /** @type {Mat3[]} */
  const rotation = new Array(times.length)
  const starts = keys.map((_, i) => i).filter((i) => i === 0 || aims[i] !== aims[i - 1])
  const ends = [...starts.slice(1).map((i) => i - 1), keys.length - 1]
  starts.forEach((first, run) => {
    const final = ends[run]
    const inside = times
      .map((_, i) => i)
      .filter(
        (i) =>
          (times[i] >= keyFrames[first] || first === 0) && (times[i] <= keyFrames[final] || final === keys.length - 1)
      )
    if (!inside.length) return // the neighbours of a loop's round
    const highest = Math.max(final - first - 1, 0)
    const local = inside.map((i) => Math.min(Math.max(at.segment[i] - first, 0), highest))
    const share = inside.map((i, n) => (at.segment[i] - first > local[n] ? 1 : at.share[i]))
    const runKeys = keys.slice(first, final + 1)
    const runTimes = keyFrames.slice(first, final + 1)
    /** @type {Mat3[]} */
    let found
    if (aims[first]) {
      const targets = curve(
        local,
        share,
        runTimes,
        runKeys.map((key) => key.target ?? [0, 0, 0]),
        doc.interpolation
      )
      found = level(
        inside.map((i) => position[i]),
        /** @type {Vec3[]} */ (targets),
        inside.map((i) => times[i]),
        doc
      )
    } else {
      const quaternions = runKeys.map((key) => key.quaternion ?? [1, 0, 0, 0])
      found = turned(local, share, runTimes, quaternions, doc.interpolation).map(matrixFromQuaternion)
    }
    inside.forEach((i, n) => (rotation[i] = found[n]))
  })
  for (const final of ends.slice(0, -1)) {
    const edges = [times.indexOf(keyFrames[final]), times.indexOf(keyFrames[final + 1])]
    if (edges.includes(-1)) continue
    const [start, end] = edges.map((edge) => quaternionFromMatrix(rotation[edge]))
    times.forEach((time, i) => {
      if (time > keyFrames[final] && time < keyFrames[final + 1])
        rotation[i] = matrixFromQuaternion(slerp(start, end, at.share[i]))
    })
  }
  return rotation
}

/**
 * @param {number[]} at
 * @param {number[]} share
 * @param {number[]} keyTimes
 * @param {number[][]} quaternions
 * @param {string} mode
 */
function turned(at, share, keyTimes, quaternions, mode) {
  if (quaternions.length === 1) return at.map(() => quaternions[0])
  const aligned = [quaternions[0]]
  for (let i = 1; i < quaternions.length; i++) {
    const [a, b] = [quaternions[i], aligned[i - 1]]
    const same = a[0] * b[0] + a[1] * b[1] + a[2] * b[2] + a[3] * b[3] >= 0
    aligned.push(same ? a : a.map((v) => -v))
  }
  if (mode === 'linear') return at.map((k, i) => slerp(aligned[k], aligned[k + 1], share[i]))
  return curve(at, share, keyTimes, aligned, mode)
}

/** @param {Keyframe[]} keys @param {Intrinsics | null} lens @returns {number[] | null} */
function keyFovs(keys, lens) {
  if (keys.every((key) => key.fov === null)) return null
  if (!lens && keys.some((key) => key.fov === null)) return null
  return keys.map((key) => key.fov ?? (lens ? verticalFov(lens) : 0))
}

/**
 * The scene's lens at the document's size.
 * @param {PathDocument} doc
 * @param {Intrinsics | null} lens
 * @returns {Intrinsics | null}
 */
function sceneLens(doc, lens) {
  const { width, height } = doc
  if (!lens || width === null || height === null) return lens
  if (Math.abs(width * lens.height - height * lens.width) <= Math.max(width, height, lens.width, lens.height)) {
    const [sx, sy] = [width / lens.width, height / lens.height]
    return { fx: lens.fx * sx, fy: lens.fy * sy, cx: lens.cx * sx, cy: lens.cy * sy, width, height }
  }
  // Square pixels, the same vertical field of view, and the principal point at its angle from the picture's centre.
  const focal = (lens.fy * height) / lens.height
  const cx = width / 2 + ((lens.cx - lens.width / 2) * focal) / lens.fx
  return { fx: focal, fy: focal, cx, cy: (lens.cy * height) / lens.height, width, height }
}

/**
 * @param {PathDocument} doc
 * @param {number[] | null} fov
 * @param {[number, number][]} shift
 * @param {Intrinsics | null} scene
 * @returns {Intrinsics[] | null}
 */
function lenses(doc, fov, shift, scene) {
  let base = sceneLens(doc, scene)
  if (!base) {
    if (!fov || doc.width === null || doc.height === null) return null
    const focal = (500 / 512) * doc.width
    base = { fx: focal, fy: focal, cx: doc.width / 2, cy: doc.height / 2, width: doc.width, height: doc.height }
  }
  const { fx, fy, cx, cy, width, height } = base
  return shift.map(([sx, sy], i) => {
    const y = fov ? height / 2 / Math.tan(radians(fov[i]) / 2) : fy
    return { fx: (y * fx) / fy, fy: y, cx: cx + sx * width, cy: cy + sy * height, width, height }
  })
}

/**
 * Turns a preset into a few keyframes that can be edited; a path without a preset is returned as it is.
 * @param {PathDocument} doc
 * @param {number} [tolerance] share of the radius and radians; 0 = a key on every frame
 * @returns {PathDocument}
 */
export function bakeDocument(doc, tolerance = BAKE_TOLERANCE) {
  if (!doc.source) return doc
  const last = doc.frames - 1
  const exact = evaluate(doc)
  const shots = presetShots(doc, exact.times)
  const moments = keyTimes(doc, exact.times)
  const stops = stopsOf(presetNamed(doc.source.preset), /** @type {Values} */ (doc.source.params), last)
  const frames = new Set(tolerance > 0 ? [0, last, ...stops.map(([frame]) => frame)] : exact.times)
  for (;;) {
    const keys = [...frames].sort((a, b) => a - b)
    const baked = {
      ...doc,
      source: null,
      keyframes: keys.map((frame) => targetKey(shots[frame], frame, moments[frame]))
    }
    const split = tolerance > 0 ? offStretches(baked, exact, keys, tolerance * doc.radius, tolerance) : []
    split.push(...untimelyStretches(baked, moments, keys))
    if (!split.length) return baked
    split.forEach((frame) => frames.add(frame))
  }
}

/** @param {Shot} shot @param {number} frame @param {number | undefined} time @returns {Keyframe} */
const targetKey = (shot, frame, time) => ({
  frame,
  ...(time === undefined ? {} : { time }),
  position: [...shot.position],
  target: [...shot.target],
  roll: shot.roll,
  fov: null,
  lens_shift: [0, 0],
  ease: 'linear'
})

/**
 * Middles of the stretches between keys where the baked path leaves the exact one.
 * @param {PathDocument} baked
 * @param {Evaluated} exact
 * @param {number[]} keys frames
 * @param {number} distance
 * @param {number} angle radians
 * @returns {number[]}
 */
function offStretches(baked, exact, keys, distance, angle) {
  /** @type {Evaluated | null} */
  let tried = null
  try {
    tried = evaluate(baked)
  } catch (error) {
    if (!(error instanceof TrajectoryError)) throw error
  }
  const most = 2 * Math.SQRT2 * Math.sin(angle / 2)
  const found = []
  for (let k = 0; k + 1 < keys.length; k++) {
    const [a, b] = [keys[k], keys[k + 1]]
    if (b - a < 2) continue
    let off = !tried
    for (let i = a; tried && i <= b && !off; i++) {
      const turn = Math.sqrt(
        exact.rotation[i].reduce((sum, v, n) => sum + (v - /** @type {Evaluated} */ (tried).rotation[i][n]) ** 2, 0)
      )
      off = length(sub(tried.position[i], exact.position[i])) > distance || turn > most
    }
    if (off) found.push(Math.floor((a + b) / 2))
  }
  return found
}

/**
 * Middles of the stretches between keys where the baked path shows another moment of the clip.
 * @param {PathDocument} baked @param {(number | undefined)[]} moments @param {number[]} keys frames
 */
function untimelyStretches(baked, moments, keys) {
  if (!setsTheTime(baked)) return []
  const tried = keyTimes(
    baked,
    moments.map((_, i) => i)
  )
  const off = moments.map((moment, i) => Math.abs(Number(moment) - Number(tried[i])) > BAKED_TIME)
  return keys
    .slice(1)
    .map((b, i) => [keys[i], b])
    .filter(([a, b]) => b - a > 1 && off.slice(a, b + 1).some(Boolean))
    .map(([a, b]) => Math.floor((a + b) / 2))
}

/**
 * The same path over another number of frames. Keyframes move to the nearest frame; where two would fall together, the
 * path gets a key on every frame instead. Of a loop it is the round that keeps its shape.
 * @param {PathDocument} doc
 * @param {number} frames
 * @param {Scene | null} [scene] its lens is needed only where keys fall together, some of which inherit it
 * @returns {PathDocument}
 */
export function resampleDocument(doc, frames, scene = null) {
  if (!Number.isInteger(frames) || frames < 1 || frames > MAX_FRAMES) {
    throw new TrajectoryError(`A camera path has 1 to ${MAX_FRAMES} frames, got ${show(frames)}.`, { field: 'frames' })
  }
  const [last, newLast] = [doc.frames - 1, frames - 1]
  if (last === newLast || !doc.keyframes.length) return { ...doc, frames }
  const factor = doc.loop ? frames / doc.frames : last ? newLast / last : 0
  const moved = doc.keyframes.map((key) => Math.floor(key.frame * factor + 0.5))
  if (new Set(moved).size === moved.length && moved[moved.length - 1] <= newLast) {
    return { ...doc, frames, keyframes: doc.keyframes.map((key, i) => ({ ...key, frame: moved[i] })) }
  }
  if (doc.source) return { ...doc, frames, keyframes: [] }
  const times = Array.from({ length: frames }, (_, i) => (doc.loop ? i / factor : newLast ? (i * last) / newLast : 0))
  const whole = evaluate(doc, scene, times)
  if (!whole.fov && doc.keyframes.some((key) => key.fov !== null)) {
    throw new TrajectoryError(
      "Some keyframes set a field of view and some inherit the scene's, which is not known here. " +
        'Connect the mesh, or set it on every keyframe.',
      { field: 'fov' }
    )
  }
  const timed = keyTimes(doc, times)
  /** @type {Keyframe[]} */
  const keyframes = whole.position.map((position, frame) => ({
    frame,
    ...(timed[frame] === undefined ? {} : { time: timed[frame] }),
    position,
    quaternion: quaternionFromMatrix(whole.rotation[frame]),
    roll: 0,
    fov: whole.fov ? whole.fov[frame] : null,
    lens_shift: whole.lensShift[frame],
    ease: 'linear'
  }))
  return { ...doc, frames, keyframes }
}
