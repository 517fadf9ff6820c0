/**
 * Questions to the depth of a clip frame: what a ray meets, whether a point lies behind the surface, where the ground
 * is.
 *
 * @import { Vec3 } from './math.js'
 * @import { PreviewHeader } from './preview.js'
 */
import { add, scale } from './math.js'
import { depthOf } from './preview.js'

const STEPS = 700
/** A crossing counts as the surface when the depth there is that close; else it is an occluded curtain. */
const SURFACE = 0.06

/**
 * Depth of the source picture in the direction of a point; null outside the picture or behind the source camera.
 * @param {PreviewHeader} header
 * @param {Uint16Array} depth
 * @param {ArrayLike<number>} point
 */
export function depthTowards(header, depth, point) {
  if (point[2] <= 0) return null
  const k = header.intrinsics
  const x = Math.floor((k.fx * point[0]) / point[2] + k.cx)
  const y = Math.floor((k.fy * point[1]) / point[2] + k.cy)
  if (x < 0 || y < 0 || x >= header.width || y >= header.height) return null
  return Math.min(depthOf(header, depth[y * header.width + x]), header.border_depth)
}

/**
 * Whether a camera position lies behind what the source camera saw.
 * @param {PreviewHeader} header
 * @param {Uint16Array} depth
 * @param {Vec3} eye
 */
export function insideSurface(header, depth, eye) {
  const surface = depthTowards(header, depth, eye)
  return surface !== null && eye[2] > surface
}

/**
 * The first point of the surface along a ray.
 * @param {PreviewHeader} header
 * @param {Uint16Array} depth
 * @param {{eye: Vec3, direction: Vec3}} ray
 * @returns {Vec3 | null}
 */
export function meetSurface(header, depth, ray) {
  const near = 0.02 * header.radius
  const growth = ((60 * header.border_depth) / near) ** (1 / STEPS)
  /** @type {number | null} */
  let before = null
  let last = near
  for (let i = 0, t = near; i <= STEPS; i++, t *= growth) {
    const point = add(ray.eye, scale(ray.direction, t))
    const surface = depthTowards(header, depth, point)
    const side = surface === null ? null : Math.sign(point[2] - surface)
    if (side !== null && before !== null && side !== before && side !== 0) {
      let [low, high] = [last, t]
      for (let n = 0; n < 24; n++) {
        const middle = (low + high) / 2
        const p = add(ray.eye, scale(ray.direction, middle))
        const s = depthTowards(header, depth, p)
        if (s !== null && Math.sign(p[2] - s) === before) low = middle
        else high = middle
      }
      const found = add(ray.eye, scale(ray.direction, high))
      const there = depthTowards(header, depth, found)
      if (there !== null && Math.abs(found[2] - there) < SURFACE * there) return found
    }
    before = side
    last = t
  }
  return null
}

/**
 * Height (y) of the ground: below most of what is near.
 * @param {PreviewHeader} header
 * @param {Uint16Array} depth
 * @returns {number}
 */
export function groundHeight(header, depth) {
  const k = header.intrinsics
  const heights = []
  for (let y = 2; y < header.height - 2; y += 4) {
    for (let x = 2; x < header.width - 2; x += 4) {
      const z = depthOf(header, depth[y * header.width + x])
      if (z < 3 * header.radius) heights.push(((y + 0.5 - k.cy) / k.fy) * z)
    }
  }
  if (heights.length < 16) return 0.4 * header.radius
  heights.sort((a, b) => a - b)
  return heights[Math.floor(0.98 * (heights.length - 1))]
}
