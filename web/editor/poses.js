// Vectors, rotations and level horizons; the twin of ex4d_core/camera.py and trajectory/horizon.py. Plain arrays,
// float64, no side effects.

import { add, cross, dot, length, normalize, radians, scale, sub } from './math.js'

/** @import { Intrinsics, Vec3 } from './math.js' */
/** @typedef {[number, number, number, number]} Quat w, x, y, z; camera-to-world */
/** @typedef {number[]} Mat3 nine numbers, row by row; camera-to-world: columns are right, down, forward */

/** Angle about the viewing axis per angle that this axis moves, when turning back to a level horizon. */
export const LEVELLING = 6

/**
 * Right axes along a path of viewing directions: level, without a flip where the path passes straight up or down
 * (carried by parallel transport, then turned towards level at a limited rate).
 * @param {Vec3[]} forward unit vectors in the order of the path, neighbours less than 90 degrees apart
 * @returns {Vec3[]}
 */
export function carryRight(forward) {
  /** @type {Vec3[]} */
  const rights = []
  /** @type {Vec3} */
  let previous = [0, 0, 1]
  /** @type {Vec3} */
  let right = [1, 0, 0]
  for (let i = 0; i < forward.length; i++) {
    right = levelled(forward[i], transported(previous, right, forward[i]), i ? previous : null)
    rights.push(right)
    previous = forward[i]
  }
  return rights
}

/**
 * `right` turned by the smallest rotation from `previous` to `current`.
 * @param {Vec3} previous
 * @param {Vec3} right
 * @param {Vec3} current
 * @returns {Vec3}
 */
function transported(previous, right, current) {
  const c = dot(previous, current)
  /** @type {Vec3} */
  let turned
  if (c < -0.999999) {
    turned = scale(right, -1)
  } else {
    const v = cross(previous, current)
    const k = dot(v, right) / (1 + c)
    turned = add(add(scale(right, c), cross(v, right)), scale(v, k))
  }
  return normalize(sub(turned, scale(current, dot(turned, current))))
}

/**
 * `right` turned about `forward` towards level, as far as the way from `previous` allows.
 * @param {Vec3} forward
 * @param {Vec3} right
 * @param {Vec3 | null} previous null = level at once
 * @returns {Vec3}
 */
function levelled(forward, right, previous) {
  const flat = Math.hypot(forward[0], forward[2])
  if (flat < 1e-9) return right
  /** @type {Vec3} */
  let level = [forward[2] / flat, 0, -forward[0] / flat]
  if (!previous) return level
  if (dot(right, level) < 0) level = scale(level, -1)
  const reach = LEVELLING * Math.atan2(length(cross(previous, forward)), dot(previous, forward))
  const side = cross(forward, right)
  const off = Math.atan2(dot(side, level), dot(right, level))
  if (Math.abs(off) <= reach + 1e-9) return level
  return add(scale(right, Math.cos(reach)), scale(side, Math.sin(reach) * Math.sign(off)))
}

/** @param {ArrayLike<number>} right @param {ArrayLike<number>} forward @returns {Mat3} camera-to-world */
export function rotationFromAxes(right, forward) {
  const down = cross(forward, right)
  return [right[0], down[0], forward[0], right[1], down[1], forward[1], right[2], down[2], forward[2]]
}

/**
 * Turns a camera about its viewing axis, clockwise for its operator.
 * @param {Mat3} m
 * @param {number} degrees
 * @returns {Mat3}
 */
export function rolled(m, degrees) {
  const c = Math.cos(radians(degrees))
  const s = Math.sin(radians(degrees))
  return [
    m[0] * c + m[1] * s,
    m[1] * c - m[0] * s,
    m[2],
    m[3] * c + m[4] * s,
    m[4] * c - m[3] * s,
    m[5],
    m[6] * c + m[7] * s,
    m[7] * c - m[6] * s,
    m[8]
  ]
}

/**
 * The right axes of a round, so that its end meets its beginning; see ex4d_core/trajectory/horizon.py.
 * @param {Vec3[]} rights of `carryRight` @param {Vec3[]} forward @param {number[]} share of the round, 0 to 1
 * @returns {Vec3[]}
 */
export function closedRights(rights, forward, share) {
  const [start, end] = [rights[0], rights[rights.length - 1]]
  const off = Math.atan2(dot(cross(forward[forward.length - 1], end), start), dot(end, start))
  if (Math.abs(off) < 1e-12) return rights
  return rights.map((right, i) => {
    const [cos, sin] = [Math.cos(off * share[i]), Math.sin(off * share[i])]
    return add(scale(right, cos), scale(cross(forward[i], right), sin))
  })
}

/**
 * World-to-camera, sixteen numbers row by row.
 * @param {Mat3} m camera-to-world
 * @param {ArrayLike<number>} position
 * @returns {Float64Array}
 */
export function poseFrom(m, position) {
  const [x, y, z] = [position[0], position[1], position[2]]
  return new Float64Array([
    m[0],
    m[3],
    m[6],
    -(m[0] * x + m[3] * y + m[6] * z),
    m[1],
    m[4],
    m[7],
    -(m[1] * x + m[4] * y + m[7] * z),
    m[2],
    m[5],
    m[8],
    -(m[2] * x + m[5] * y + m[8] * z),
    0,
    0,
    0,
    1
  ])
}

/**
 * A level camera at `eye` that looks at `target`; world-to-camera.
 * @param {ArrayLike<number>} eye
 * @param {ArrayLike<number>} target
 * @param {number} [roll] degrees
 */
export function lookAt(eye, target, roll = 0) {
  const forward = normalize(sub(target, eye))
  return poseFrom(rolled(rotationFromAxes(carryRight([forward])[0], forward), roll), eye)
}

/** @param {ArrayLike<number>} q any length above zero @returns {Mat3} */
export function matrixFromQuaternion(q) {
  const n = Math.sqrt(q[0] * q[0] + q[1] * q[1] + q[2] * q[2] + q[3] * q[3])
  const [w, x, y, z] = [q[0] / n, q[1] / n, q[2] / n, q[3] / n]
  return [
    1 - 2 * (y * y + z * z),
    2 * (x * y - w * z),
    2 * (x * z + w * y),
    2 * (x * y + w * z),
    1 - 2 * (x * x + z * z),
    2 * (y * z - w * x),
    2 * (x * z - w * y),
    2 * (y * z + w * x),
    1 - 2 * (x * x + y * y)
  ]
}

/** @param {Mat3} m @returns {Quat} w >= 0 */
export function quaternionFromMatrix(m) {
  const [xx, yy, zz] = [m[0], m[4], m[8]]
  const diagonal = [1 + xx + yy + zz, 1 + xx - yy - zz, 1 - xx + yy - zz, 1 - xx - yy + zz]
  const best = diagonal.indexOf(Math.max(...diagonal))
  const rows = [
    [diagonal[0], m[7] - m[5], m[2] - m[6], m[3] - m[1]],
    [m[7] - m[5], diagonal[1], m[1] + m[3], m[2] + m[6]],
    [m[2] - m[6], m[1] + m[3], diagonal[2], m[5] + m[7]],
    [m[3] - m[1], m[2] + m[6], m[5] + m[7], diagonal[3]]
  ]
  const q = rows[best]
  const n = Math.sqrt(q[0] * q[0] + q[1] * q[1] + q[2] * q[2] + q[3] * q[3]) * (q[0] < 0 ? -1 : 1)
  return [q[0] / n, q[1] / n, q[2] / n, q[3] / n]
}

/**
 * The shortest turn.
 * @param {ArrayLike<number>} a unit
 * @param {ArrayLike<number>} b unit
 * @param {number} share
 * @returns {Quat}
 */
export function slerp(a, b, share) {
  const d = a[0] * b[0] + a[1] * b[1] + a[2] * b[2] + a[3] * b[3]
  const angle = Math.acos(Math.min(1, Math.abs(d)))
  const sine = Math.sin(angle)
  const near = sine < 1e-6
  const ka = near ? 1 - share : Math.sin((1 - share) * angle) / sine
  const kb = (near ? share : Math.sin(share * angle) / sine) * (d < 0 ? -1 : 1)
  const q = [ka * a[0] + kb * b[0], ka * a[1] + kb * b[1], ka * a[2] + kb * b[2], ka * a[3] + kb * b[3]]
  const n = Math.sqrt(q[0] * q[0] + q[1] * q[1] + q[2] * q[2] + q[3] * q[3])
  return [q[0] / n, q[1] / n, q[2] / n, q[3] / n]
}

/** Vertical field of view in degrees. @param {Intrinsics} k */
export const verticalFov = (k) => (2 * Math.atan(k.height / (2 * k.fy)) * 180) / Math.PI
