/**
 * Handles of the scene view: where they are on the screen, which one a pointer meets, and what a drag means in space.
 * Pure mathematics; `overlay.js` draws them.
 *
 * @import { Camera, Vec3 } from './math.js'
 * @typedef {{kind: 'camera' | 'target' | 'pivot'} | {kind: 'key', frame: number}
 *   | {kind: 'axis', axis: 0 | 1 | 2} | {kind: 'plane', axis: 0 | 1 | 2}} Handle
 * @typedef {{handle: Handle, x: number, y: number, reach: number, x2?: number, y2?: number}} Spot  in pixels of the
 *   view
 */
import { add, axesOf, closestOnAxis, meetPlane, pixelRay, project, scale, snap, sub } from './math.js'

/** @type {Vec3[]} */
export const AXES = [
  [1, 0, 0],
  [0, 1, 0],
  [0, 0, 1]
]
/** Length of the gizmo's arms and distance of its squares, in CSS pixels. */
export const ARM = 62
export const SQUARE = [20, 34]
const GRAB = 11

/**
 * World length that spans `pixels` at a point of the view.
 * @param {Camera} view
 * @param {Vec3} point
 * @param {number} pixels
 */
export function worldSize(view, point, pixels) {
  const z = project(view, point)[2]
  return (Math.max(z, 1e-6) * pixels) / view.intrinsics.fx
}

/**
 * The gizmo's arms as the view sees them; an arm that points at the viewer is left out, since dragging it has no
 * meaning.
 * @param {Camera} view @param {Vec3} origin @param {number} unit pixels of the view per CSS pixel
 */
export function gizmoArms(view, origin, unit = 1) {
  const size = worldSize(view, origin, ARM * unit)
  const [x, y, z] = project(view, origin)
  if (z <= 0) return []
  return AXES.flatMap((direction, index) => {
    const end = project(view, add(origin, scale(direction, size)))
    if (end[2] <= 0 || Math.hypot(end[0] - x, end[1] - y) < 12 * unit) return []
    return [{ axis: /** @type {0 | 1 | 2} */ (index), x, y, x2: end[0], y2: end[1] }]
  })
}

/**
 * The gizmo's squares, each in the plane across one axis.
 * @param {Camera} view
 * @param {Vec3} origin
 * @param {number} unit
 */
export function gizmoSquares(view, origin, unit = 1) {
  if (project(view, origin)[2] <= 0) return []
  const near = worldSize(view, origin, SQUARE[0] * unit)
  const far = worldSize(view, origin, SQUARE[1] * unit)
  return AXES.flatMap((_, index) => {
    const [a, b] = AXES.filter((_, i) => i !== index)
    const corner = (/** @type {number} */ s, /** @type {number} */ t) =>
      project(view, add(origin, add(scale(a, s), scale(b, t))))
    const corners = [corner(near, near), corner(far, near), corner(far, far), corner(near, far)]
    if (corners.some((c) => c[2] <= 0)) return []
    let area = 0
    for (let i = 0; i < 4; i++) {
      const [p, q] = [corners[i], corners[(i + 1) % 4]]
      area += (p[0] * q[1] - q[0] * p[1]) / 2
    }
    if (Math.abs(area) < 40 * unit * unit) return []
    return [{ axis: /** @type {0 | 1 | 2} */ (index), corners }]
  })
}

/** Distance of a point from a segment. @param {number} x @param {number} y @param {Spot} spot */
function away(x, y, spot) {
  if (spot.x2 === undefined || spot.y2 === undefined) return Math.hypot(x - spot.x, y - spot.y)
  const dx = spot.x2 - spot.x
  const dy = spot.y2 - spot.y
  const t = Math.min(1, Math.max(0, ((x - spot.x) * dx + (y - spot.y) * dy) / (dx * dx + dy * dy || 1)))
  return Math.hypot(x - spot.x - t * dx, y - spot.y - t * dy)
}

/**
 * All places a pointer can take hold of, most important first.
 * @param {{view: Camera, unit: number, eye: Vec3 | null, target: Vec3 | null, pivot: Vec3, active: Vec3 | null,
 *   keys: {frame: number, position: Vec3}[]}} scene `active` carries the gizmo
 * @returns {Spot[]}
 */
export function spots({ view, unit, eye, target, pivot, active, keys }) {
  /** @type {Spot[]} */
  const out = []
  const reach = GRAB * unit
  if (active) {
    for (const arm of gizmoArms(view, active, unit)) {
      // The inner third belongs to the handle in the middle.
      const start = 0.3
      out.push({
        handle: { kind: 'axis', axis: arm.axis },
        x: arm.x + (arm.x2 - arm.x) * start,
        y: arm.y + (arm.y2 - arm.y) * start,
        x2: arm.x2,
        y2: arm.y2,
        reach: 0.7 * reach
      })
    }
    for (const square of gizmoSquares(view, active, unit)) {
      const x = square.corners.reduce((sum, c) => sum + c[0], 0) / 4
      const y = square.corners.reduce((sum, c) => sum + c[1], 0) / 4
      out.push({ handle: { kind: 'plane', axis: square.axis }, x, y, reach: 0.75 * reach })
    }
  }
  const place = (/** @type {Handle} */ handle, /** @type {Vec3 | null} */ point, scaleBy = 1) => {
    if (!point) return
    const [x, y, z] = project(view, point)
    if (z > 0) out.push({ handle, x, y, reach: reach * scaleBy })
  }
  place({ kind: 'target' }, target)
  place({ kind: 'camera' }, eye, 1.3)
  for (const key of keys) place({ kind: 'key', frame: key.frame }, key.position, 0.9)
  place({ kind: 'pivot' }, pivot, 0.9)
  return out
}

/**
 * The place under a pointer: the nearest in reach, gizmo before points.
 * @param {Spot[]} list
 * @param {number} x
 * @param {number} y
 * @returns {Spot | null}
 */
export function pick(list, x, y) {
  /** @type {Spot | null} */
  let best = null
  let bestScore = Infinity
  list.forEach((spot, order) => {
    const distance = away(x, y, spot)
    if (distance > spot.reach) return
    const score = distance / spot.reach + order * 1e-3
    if (score < bestScore) [best, bestScore] = [spot, score]
  })
  return best
}

/**
 * Where a dragged point goes.
 * @param {Camera} view @param {Handle} handle @param {Vec3} origin where the point was when the drag began
 * @param {{x: number, y: number}} from pointer when the drag began @param {{x: number, y: number}} to pointer now
 * @param {number} step snapping of every coordinate, 0 = none @returns {Vec3}
 */
export function dragged(view, handle, origin, from, to, step = 0) {
  const start = pixelRay(view, from.x, from.y)
  const now = pixelRay(view, to.x, to.y)
  if (handle.kind === 'axis') {
    const axis = AXES[handle.axis]
    const a = closestOnAxis(origin, axis, start)
    const b = closestOnAxis(origin, axis, now)
    if (a === null || b === null) return origin
    const out = add(origin, scale(axis, b - a))
    out[handle.axis] = snap(out[handle.axis], step)
    return out
  }
  const normal = handle.kind === 'plane' ? AXES[handle.axis] : axesOf(view.pose).forward
  const a = meetPlane(origin, normal, start)
  const b = meetPlane(origin, normal, now)
  if (!a || !b) return origin
  const out = add(origin, sub(b, a))
  if (step > 0)
    for (let i = 0; i < 3; i++) if (handle.kind !== 'plane' || i !== handle.axis) out[i] = snap(out[i], step)
  return out
}
