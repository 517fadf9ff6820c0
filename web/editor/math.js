/**
 * Small vector and camera mathematics of the editor.
 *
 * Convention: OpenCV camera and world (x right, y down, z forward), poses are world-to-camera, matrices are flat,
 * row-major, 16 numbers. Pixel centres lie at +0.5.
 *
 * @typedef {[number, number, number]} Vec3
 * @typedef {{fx: number, fy: number, cx: number, cy: number, width: number, height: number}} Intrinsics
 * @typedef {ArrayLike<number>} Pose  a 4x4 world-to-camera matrix, row-major
 * @typedef {{pose: Pose, intrinsics: Intrinsics}} Camera
 */

/** @param {ArrayLike<number>} a @param {ArrayLike<number>} b @returns {Vec3} */
export const add = (a, b) => [a[0] + b[0], a[1] + b[1], a[2] + b[2]]
/** @param {ArrayLike<number>} a @param {ArrayLike<number>} b @returns {Vec3} */
export const sub = (a, b) => [a[0] - b[0], a[1] - b[1], a[2] - b[2]]
/** @param {ArrayLike<number>} a @param {number} s @returns {Vec3} */
export const scale = (a, s) => [a[0] * s, a[1] * s, a[2] * s]
/** @param {ArrayLike<number>} a @param {ArrayLike<number>} b */
export const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
/** @param {ArrayLike<number>} a @param {ArrayLike<number>} b @returns {Vec3} */
export const cross = (a, b) => [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
/** @param {ArrayLike<number>} a */
export const length = (a) => Math.hypot(a[0], a[1], a[2])
/** @param {ArrayLike<number>} a @param {ArrayLike<number>} b */
export const distance = (a, b) => Math.hypot(a[0] - b[0], a[1] - b[1], a[2] - b[2])
/** @param {ArrayLike<number>} a @param {ArrayLike<number>} b @param {number} t @returns {Vec3} */
export const mix = (a, b, t) => [a[0] + (b[0] - a[0]) * t, a[1] + (b[1] - a[1]) * t, a[2] + (b[2] - a[2]) * t]
/** @param {number} v @param {number} low @param {number} high */
export const clamp = (v, low, high) => Math.min(high, Math.max(low, v))
export const radians = (/** @type {number} */ degrees) => (degrees * Math.PI) / 180
export const degrees = (/** @type {number} */ angle) => (angle * 180) / Math.PI

/**
 * The unit vector along `a`; `fallback` where `a` has no length.
 * @param {ArrayLike<number>} a
 * @param {Vec3} [fallback]
 * @returns {Vec3}
 */
export function normalize(a, fallback = [0, 0, 1]) {
  const size = length(a)
  return size > 1e-12 ? scale(a, 1 / size) : fallback
}

/**
 * `v` turned by `angle` radians around the unit vector `axis` (right-handed).
 * @param {ArrayLike<number>} v
 * @param {ArrayLike<number>} axis
 * @param {number} angle
 * @returns {Vec3}
 */
export function rotateAround(v, axis, angle) {
  const c = Math.cos(angle)
  const s = Math.sin(angle)
  return add(add(scale(v, c), scale(cross(axis, v), s)), scale(axis, dot(axis, v) * (1 - c)))
}

/** The camera's position in the world. @param {Pose} m @returns {Vec3} */
export function eyeOf(m) {
  return [
    -(m[0] * m[3] + m[4] * m[7] + m[8] * m[11]),
    -(m[1] * m[3] + m[5] * m[7] + m[9] * m[11]),
    -(m[2] * m[3] + m[6] * m[7] + m[10] * m[11])
  ]
}
/** The camera's axes in the world. @param {Pose} m @returns {{right: Vec3, down: Vec3, forward: Vec3}} */
export const axesOf = (m) => ({
  right: [m[0], m[1], m[2]],
  down: [m[4], m[5], m[6]],
  forward: [m[8], m[9], m[10]]
})

/**
 * A pose from an eye and unit axes.
 * @param {Vec3} eye
 * @param {Vec3} right
 * @param {Vec3} down
 * @param {Vec3} forward
 * @returns {number[]}
 */
export function poseFromAxes(eye, right, down, forward) {
  return [...right, -dot(right, eye), ...down, -dot(down, eye), ...forward, -dot(forward, eye), 0, 0, 0, 1]
}

/**
 * A pose for the editor's own views: at `eye`, looking at `target`, the picture's bottom towards +y.
 * @param {Vec3} eye @param {Vec3} target @returns {number[]}
 */
export function lookAtView(eye, target) {
  const forward = normalize(sub(target, eye))
  const right = normalize(cross([0, 1, 0], forward), [1, 0, 0])
  return poseFromAxes(eye, right, cross(forward, right), forward)
}

/** World to camera. @param {Pose} m @param {ArrayLike<number>} p @returns {Vec3} */
export const toCamera = (m, p) => [
  m[0] * p[0] + m[1] * p[1] + m[2] * p[2] + m[3],
  m[4] * p[0] + m[5] * p[1] + m[6] * p[2] + m[7],
  m[8] * p[0] + m[9] * p[1] + m[10] * p[2] + m[11]
]

/**
 * World point to pixels of the camera's picture; z is the planar depth (<= 0 lies behind the camera).
 * @param {Camera} camera @param {ArrayLike<number>} point @returns {Vec3}
 */
export function project(camera, point) {
  const [x, y, z] = toCamera(camera.pose, point)
  const k = camera.intrinsics
  return [(k.fx * x) / z + k.cx, (k.fy * y) / z + k.cy, z]
}

/**
 * The ray through a pixel position. `direction` has planar depth 1, so that eye + z * direction has depth z.
 * @param {Camera} camera @param {number} u @param {number} v @returns {{eye: Vec3, direction: Vec3}}
 */
export function pixelRay(camera, u, v) {
  const k = camera.intrinsics
  const { right, down, forward } = axesOf(camera.pose)
  const direction = add(forward, add(scale(right, (u - k.cx) / k.fx), scale(down, (v - k.cy) / k.fy)))
  return { eye: eyeOf(camera.pose), direction }
}

/**
 * Intrinsics of the same view on another pixel grid.
 * @param {Intrinsics} k
 * @param {number} width
 * @param {number} height
 * @returns {Intrinsics}
 */
export function resized(k, width, height) {
  const sx = width / k.width
  const sy = height / k.height
  return { fx: k.fx * sx, fy: k.fy * sy, cx: k.cx * sx, cy: k.cy * sy, width, height }
}

/**
 * Square pixels, centred.
 * @param {number} verticalFov degrees
 * @param {number} width
 * @param {number} height
 * @returns {Intrinsics}
 */
export function intrinsicsFromFov(verticalFov, width, height) {
  const focal = height / 2 / Math.tan(radians(verticalFov) / 2)
  return { fx: focal, fy: focal, cx: width / 2, cy: height / 2, width, height }
}

/** Vertical field of view in degrees. @param {Intrinsics} k */
export const fovOf = (k) => degrees(2 * Math.atan(k.height / (2 * k.fy)))

/**
 * World to OpenGL clip space, row-major, from a pose, intrinsics and the depth range.
 * @param {Camera} camera @param {number} near @param {number} far @returns {Float32Array}
 */
export function clipMatrix(camera, near, far) {
  const { pose: m, intrinsics: k } = camera
  const ax = (2 * k.fx) / k.width
  const bx = (2 * k.cx) / k.width - 1
  const ay = (-2 * k.fy) / k.height
  const by = 1 - (2 * k.cy) / k.height
  const az = (far + near) / (far - near)
  const bz = (-2 * far * near) / (far - near)
  const out = new Float32Array(16)
  for (let c = 0; c < 4; c++) {
    out[c] = ax * m[c] + bx * m[8 + c]
    out[4 + c] = ay * m[4 + c] + by * m[8 + c]
    out[8 + c] = az * m[8 + c] + (c === 3 ? bz : 0)
    out[12 + c] = m[8 + c]
  }
  return out
}

/**
 * The parameter t of the point origin + t * axis that lies closest to a ray; null where the two are parallel.
 * @param {Vec3} origin @param {Vec3} axis unit @param {{eye: Vec3, direction: Vec3}} ray @returns {number | null}
 */
export function closestOnAxis(origin, axis, ray) {
  const d = normalize(ray.direction)
  const w = sub(origin, ray.eye)
  const b = dot(axis, d)
  const denominator = 1 - b * b
  if (denominator < 1e-6) return null
  return (b * dot(d, w) - dot(axis, w)) / denominator
}

/**
 * Where a ray meets the plane through `point` with `normal`; null where it runs along it or away from it.
 * @param {Vec3} point @param {Vec3} normal @param {{eye: Vec3, direction: Vec3}} ray @returns {Vec3 | null}
 */
export function meetPlane(point, normal, ray) {
  const slope = dot(normal, ray.direction)
  if (Math.abs(slope) < 1e-9) return null
  const t = dot(normal, sub(point, ray.eye)) / slope
  return t > 0 ? add(ray.eye, scale(ray.direction, t)) : null
}

/** `value` to the nearest multiple of `step` (step 0: untouched). @param {number} value @param {number} step */
export const snap = (value, step) => (step > 0 ? Math.round(value / step) * step : value)

/**
 * The circle-like path's angle around `pivot`, in degrees: 0 in front of the pivot (towards -z), positive to the right.
 * @param {Vec3} eye
 * @param {Vec3} pivot
 */
export const azimuthOf = (eye, pivot) => degrees(Math.atan2(eye[0] - pivot[0], pivot[2] - eye[2]))

/** The source camera's pose. */
export const IDENTITY_POSE = [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]

/** Whether a pose is the source camera's, as exactly as the renderer asks. @param {ArrayLike<number>} pose */
export const isIdentity = (pose) => IDENTITY_POSE.every((v, i) => Math.abs(v - pose[i]) <= 1e-4)
