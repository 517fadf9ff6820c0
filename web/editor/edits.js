/**
 * Edits of a trajectory document. Every function takes a document and returns a new one; none of them touches the page.
 * Keys are named by their frame.
 *
 * @import { Intrinsics, Vec3 } from './math.js'
 * @import { Keyframe, PathDocument } from './pathDocument.js'
 * @import { Quat } from './poses.js'
 * @typedef {{poses: ArrayLike<number>[], intrinsics: Intrinsics[] | null, fov: ArrayLike<number> | null}} EvaluatedPath
 */
import {
  add,
  axesOf,
  clamp,
  cross,
  degrees,
  distance,
  dot,
  eyeOf,
  length,
  normalize,
  radians,
  rotateAround,
  scale,
  sub
} from './math.js'
import { quaternionFromMatrix } from './poses.js'
import { bakeDocument } from './trajectory.js'

const STEEPEST = radians(89)

/** @param {PathDocument} doc @param {number} frame @returns {Keyframe | undefined} */
export const keyAt = (doc, frame) => doc.keyframes.find((key) => key.frame === frame)

/** Seven significant digits: what a float32 holds, and short JSON. @param {number} value */
const tidy = (value) => Number(value.toPrecision(7)) || 0
/** @template {ArrayLike<number>} T @param {T} values @returns {T} */
const tidyAll = (values) => /** @type {T} */ (/** @type {ArrayLike<number>} */ (Array.from(values, tidy)))

/** @param {PathDocument} doc @param {Keyframe[]} keyframes @returns {PathDocument} */
const withKeys = (doc, keyframes) => ({
  ...doc,
  source: null,
  keyframes: [...keyframes].sort((a, b) => a.frame - b.frame)
})

/** A preset as keyframes; a document that has keyframes as it is. @param {PathDocument} doc @returns {PathDocument} */
export const baked = (doc) => (doc.source ? bakeDocument(doc) : doc)

/**
 * The key that would leave the path as it is at a frame. Between keys with targets it gets a target, as far away as
 * theirs.
 * @param {PathDocument} doc baked @param {EvaluatedPath} path @param {number} frame @returns {Keyframe}
 */
export function sampledKey(doc, path, frame) {
  const keys = doc.keyframes
  const after = keys.findIndex((key) => key.frame > frame)
  const next = after < 0 ? keys[keys.length - 1] : keys[after]
  const previous = after < 0 ? keys[keys.length - 1] : keys[Math.max(0, after - 1)]
  const share = next.frame > previous.frame ? clamp((frame - previous.frame) / (next.frame - previous.frame), 0, 1) : 0
  const pose = path.poses[frame]
  const eye = eyeOf(pose)
  /** @type {Keyframe} */
  const key = {
    frame,
    position: tidyAll(eye),
    roll: 0,
    fov: path.fov && keys.some((k) => k.fov !== null) ? tidy(path.fov[frame]) : null,
    lens_shift: /** @type {[number, number]} */ (
      [0, 1].map((i) => previous.lens_shift[i] + (next.lens_shift[i] - previous.lens_shift[i]) * share)
    ),
    ease: 'linear'
  }
  if (previous.target && next.target) {
    const reach =
      distance(previous.position, previous.target) * (1 - share) + distance(next.position, next.target) * share
    key.target = tidyAll(add(eye, scale(axesOf(pose).forward, reach)))
    key.roll = tidy(previous.roll + (next.roll - previous.roll) * share)
  } else {
    key.quaternion = quaternionOf(pose)
  }
  return key
}

/** Camera-to-world quaternion of a world-to-camera pose. @param {ArrayLike<number>} m @returns {Quat} */
export const quaternionOf = (m) =>
  tidyAll(quaternionFromMatrix([m[0], m[4], m[8], m[1], m[5], m[9], m[2], m[6], m[10]]))

/**
 * Turns an orientation by a world rotation.
 * @param {Quat} q
 * @param {Vec3} axis
 * @param {number} angle
 * @returns {Quat}
 */
export function turned(q, axis, angle) {
  const s = Math.sin(angle / 2)
  const [aw, ax, ay, az] = [Math.cos(angle / 2), axis[0] * s, axis[1] * s, axis[2] * s]
  const [bw, bx, by, bz] = q
  return tidyAll(
    /** @type {Quat} */ ([
      aw * bw - ax * bx - ay * by - az * bz,
      aw * bx + ax * bw + ay * bz - az * by,
      aw * by - ax * bz + ay * bw + az * bx,
      aw * bz + ax * by - ay * bx + az * bw
    ])
  )
}

/** The direction a key looks in. @param {Keyframe} key @returns {Vec3} */
export function forwardOf(key) {
  if (key.target) return normalize(sub(key.target, key.position))
  const [w, x, y, z] = /** @type {number[]} */ (key.quaternion)
  return [2 * (x * z + w * y), 2 * (y * z - w * x), 1 - 2 * (x * x + y * y)]
}

/**
 * A document with a key at `frame`, the preset baked and the key made where there was none.
 * @param {PathDocument} doc @param {EvaluatedPath} path of `doc` @param {number} frame @returns {PathDocument}
 */
export function withKey(doc, path, frame) {
  const ready = baked(doc)
  if (keyAt(ready, frame)) return ready
  return withKeys(ready, [...ready.keyframes, sampledKey(ready, path, frame)])
}

/**
 * @param {PathDocument} doc
 * @param {number} frame
 * @param {(key: Keyframe) => Keyframe} change
 * @returns {PathDocument}
 */
export function changeKey(doc, frame, change) {
  return withKeys(
    doc,
    doc.keyframes.map((key) => {
      if (key.frame !== frame) return key
      const next = change(key)
      const out = { ...next, position: tidyAll(next.position), roll: tidy(next.roll) }
      if (next.target) out.target = tidyAll(next.target)
      return out
    })
  )
}

/** Removes a key; the last one stays. @param {PathDocument} doc @param {number} frame */
export function removeKey(doc, frame) {
  const ready = baked(doc)
  return ready.keyframes.length > 1
    ? withKeys(
        ready,
        ready.keyframes.filter((key) => key.frame !== frame)
      )
    : ready
}

/**
 * Moves a key in time; it stops beside another key.
 * @param {PathDocument} doc
 * @param {number} frame
 * @param {number} to
 */
export function retimeKey(doc, frame, to) {
  const ready = baked(doc)
  const wanted = clamp(Math.round(to), 0, ready.frames - 1)
  if (wanted === frame || keyAt(ready, wanted)) return ready
  return withKeys(
    ready,
    ready.keyframes.map((key) => (key.frame === frame ? { ...key, frame: wanted } : key))
  )
}

/**
 * Copies a key to a frame, over the one that may be there.
 * @param {PathDocument} doc
 * @param {Keyframe} key
 * @param {number} to
 */
export function placeKey(doc, key, to) {
  const ready = baked(doc)
  const frame = clamp(Math.round(to), 0, ready.frames - 1)
  return withKeys(ready, [...ready.keyframes.filter((k) => k.frame !== frame), { ...structuredClone(key), frame }])
}

/**
 * The nearest frame after `frame` (else before it) without a key; -1 where every frame has one.
 * @param {PathDocument} doc
 * @param {number} frame
 */
export function freeFrame(doc, frame) {
  const gap = Math.max(1, Math.round(doc.frames / 12))
  const wanted = Math.min(frame + gap, doc.frames - 1)
  for (let away = 0; away < doc.frames; away++) {
    for (const candidate of [wanted + away, wanted - away]) {
      if (candidate >= 0 && candidate < doc.frames && !keyAt(doc, candidate)) return candidate
    }
  }
  return -1
}

/**
 * Position and, with `whole`, what it looks at.
 * @param {Keyframe} key
 * @param {Vec3} delta
 * @param {boolean} whole
 * @returns {Keyframe}
 */
export function translated(key, delta, whole) {
  const position = add(key.position, delta)
  return key.target && whole ? { ...key, position, target: add(key.target, delta) } : { ...key, position }
}

/**
 * Turns the camera rigidly around `pivot`: azimuth around the vertical, elevation short of the poles.
 * @param {Keyframe} key @param {Vec3} pivot @param {number} azimuth radians, positive carries the camera to the right
 * @param {number} elevation radians, positive carries it up @returns {Keyframe}
 */
export function orbited(key, pivot, azimuth, elevation) {
  /** @type {Vec3} */
  const vertical = [0, 1, 0]
  let out = rotatedAround(key, pivot, vertical, -azimuth)
  const away = sub(out.position, pivot)
  if (length(away) < 1e-9) return out
  const now = Math.asin(clamp(-away[1] / length(away), -1, 1))
  const wanted = clamp(now + elevation, -Math.max(STEEPEST, Math.abs(now)), Math.max(STEEPEST, Math.abs(now)))
  const side = cross(vertical, away)
  if (length(side) < 1e-9 || wanted === now) return out
  return rotatedAround(out, pivot, normalize(side), wanted - now)
}

/** @param {Keyframe} key @param {Vec3} pivot @param {Vec3} axis unit @param {number} angle @returns {Keyframe} */
function rotatedAround(key, pivot, axis, angle) {
  const turn = (/** @type {Vec3} */ p) => add(pivot, rotateAround(sub(p, pivot), axis, angle))
  const out = { ...key, position: turn(key.position) }
  if (key.target) out.target = turn(key.target)
  if (key.quaternion) out.quaternion = turned(key.quaternion, axis, angle)
  return out
}

/**
 * Turns the camera on the spot.
 * @param {Keyframe} key
 * @param {number} yaw radians to the right
 * @param {number} pitch radians up
 * @returns {Keyframe}
 */
export function looked(key, yaw, pitch) {
  const forward = forwardOf(key)
  const now = Math.asin(clamp(-forward[1], -1, 1))
  const wanted = clamp(now + pitch, -STEEPEST, STEEPEST)
  const side = normalize(cross([0, 1, 0], forward), [1, 0, 0])
  const turn = (/** @type {Keyframe} */ k, /** @type {Vec3} */ axis, /** @type {number} */ angle) => {
    const out = { ...k }
    if (k.target) out.target = add(k.position, rotateAround(sub(k.target, k.position), axis, angle))
    if (k.quaternion) out.quaternion = turned(k.quaternion, axis, angle)
    return out
  }
  return turn(turn(key, side, wanted - now), [0, 1, 0], yaw)
}

/**
 * Towards (factor < 1) or away from a point.
 * @param {Keyframe} key
 * @param {Vec3} point
 * @param {number} factor
 * @returns {Keyframe}
 */
export function dollied(key, point, factor) {
  const position = add(point, scale(sub(key.position, point), factor))
  if (key.target && distance(position, key.target) < 1e-4 * distance(key.position, key.target) + 1e-9) return key
  return { ...key, position }
}

/**
 * Aims a key at a point. Keys with a quaternion turn by the shortest way.
 * @param {Keyframe} key
 * @param {Vec3} point
 * @returns {Keyframe}
 */
export function aimed(key, point) {
  if (distance(point, key.position) < 1e-6) return key
  if (key.target) return { ...key, target: point }
  const from = forwardOf(key)
  const to = normalize(sub(point, key.position))
  const axis = cross(from, to)
  if (length(axis) < 1e-9) return key
  return {
    ...key,
    quaternion: turned(/** @type {Quat} */ (key.quaternion), normalize(axis), Math.atan2(length(axis), dot(from, to)))
  }
}

/**
 * Where the camera stands around the pivot.
 * @param {Vec3} eye
 * @param {Vec3} pivot
 * @returns {{azimuth: number, elevation: number, distance: number}} degrees
 */
export function spherical(eye, pivot) {
  const away = sub(eye, pivot)
  const reach = length(away)
  return {
    azimuth: degrees(Math.atan2(away[0], -away[2])),
    elevation: reach > 1e-9 ? degrees(Math.asin(clamp(-away[1] / reach, -1, 1))) : 0,
    distance: reach
  }
}

/**
 * Puts the camera at a place around the pivot, turning it rigidly.
 * @param {Keyframe} key
 * @param {Vec3} pivot
 * @param {{azimuth?: number, elevation?: number, distance?: number}} wanted
 * @returns {Keyframe}
 */
export function placedAround(key, pivot, wanted) {
  const now = spherical(key.position, pivot)
  let out = key
  if (wanted.azimuth !== undefined) out = orbited(out, pivot, radians(wanted.azimuth - now.azimuth), 0)
  if (wanted.elevation !== undefined) out = orbited(out, pivot, 0, radians(wanted.elevation - now.elevation))
  if (wanted.distance !== undefined && now.distance > 1e-9 && wanted.distance > 0) {
    out = dollied(out, pivot, wanted.distance / now.distance)
  }
  return out
}

/** @param {PathDocument} doc @param {Vec3} pivot @returns {PathDocument} */
export const withPivot = (doc, pivot) => ({ ...doc, pivot: tidyAll(pivot) })
