// Where the camera was that filmed the clip, at each stored frame of a preview whose header tells it; and the views of the
// editor in its frame, in which the depth is. No side effects.

import { IDENTITY_POSE, eyeOf, isIdentity, resized } from './math.js'

/** @import { Camera, Vec3 } from './math.js' */
/** @import { PreviewHeader } from './preview.js' */
/** @import { PathDocument } from './pathDocument.js' */

/**
 * World to source camera, sixteen numbers row by row; the identity where it does not move, and where the path rides on it.
 * @param {PreviewHeader} header
 * @param {number} index stored frame
 * @param {PathDocument} document
 * @returns {ArrayLike<number>}
 */
export const sourcePose = (header, index, document) =>
  document.frame_of_reference === 'world' ? poseAt(header, index) : IDENTITY_POSE

/**
 * World to source camera, whatever path is laid over it.
 * @param {PreviewHeader} header @param {number} index stored frame @returns {ArrayLike<number>}
 */
export function poseAt(header, index) {
  const pose = header.source_poses?.[index]
  return pose ? [...pose, 0, 0, 0, 1] : IDENTITY_POSE
}

/**
 * The source camera's places in the world, one a stored frame; none where it does not move, and where the path rides on it.
 * @param {PreviewHeader} header @param {PathDocument} document @returns {Vec3[]}
 */
export function sourceWay(header, document) {
  const poses = document.frame_of_reference === 'world' ? (header.source_poses ?? []) : []
  return poses.map((pose) => eyeOf([...pose, 0, 0, 0, 1]))
}

/**
 * The header with the lens of one stored frame, which a zoom changes.
 * @param {PreviewHeader} header
 * @param {number} index stored frame
 * @returns {PreviewHeader}
 */
export function withLensOf(header, index) {
  const lens = header.source_lenses?.[index]
  if (!lens) return header
  const [fx, fy, cx, cy] = lens
  return { ...header, intrinsics: { fx, fy, cx, cy } }
}

/**
 * The lens through which a frame of a zooming clip was seen, at the clip's own size; of the stored frame nearest to it.
 * @param {PreviewHeader} header @param {number} number of the clip's frame
 */
export function sourceLensAt(header, number) {
  const { frame_numbers: numbers, width, height } = header
  const away = numbers.map((stored) => Math.abs(stored - number))
  const index = away.indexOf(Math.min(...away))
  return resized({ ...withLensOf(header, index).intrinsics, width, height }, header.source[0], header.source[1])
}

/**
 * A camera of the world as it stands to the source camera.
 * @param {ArrayLike<number>} pose of the camera
 * @param {ArrayLike<number>} source of the source camera
 * @returns {ArrayLike<number>} from the source camera's frame to the camera's
 */
export function seenFrom(pose, source) {
  if (source === IDENTITY_POSE) return pose
  const out = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]
  for (let row = 0; row < 3; row++) {
    const r = 4 * row
    for (let column = 0; column < 3; column++) {
      const c = 4 * column
      out[r + column] = pose[r] * source[c] + pose[r + 1] * source[c + 1] + pose[r + 2] * source[c + 2]
    }
    out[r + 3] = pose[r + 3] - out[r] * source[3] - out[r + 1] * source[7] - out[r + 2] * source[11]
  }
  return out
}

/**
 * @param {Camera} camera in the world @param {ArrayLike<number>} source @returns {Camera} in the source camera's frame
 */
export const cameraFrom = (camera, source) =>
  source === IDENTITY_POSE ? camera : { ...camera, pose: seenFrom(camera.pose, source) }

/**
 * Whether a camera is where the source camera was, and looks through its lens: the first frame is then passed through.
 * @param {Camera} camera in the source camera's frame @param {PreviewHeader} header @param {number} index stored frame
 */
export function isSourceView({ pose, intrinsics: lens }, header, index) {
  if (!isIdentity(pose)) return false
  const { width, height } = header
  const source = resized({ ...withLensOf(header, index).intrinsics, width, height }, lens.width, lens.height)
  const [w, h] = header.source
  const sameShape = Math.abs(lens.width * h - lens.height * w) <= Math.max(lens.width, lens.height, w, h)
  const names = /** @type {const} */ (['fx', 'fy', 'cx', 'cy'])
  return sameShape && names.every((name) => Math.abs(lens[name] - source[name]) <= 1e-4 * source.fx)
}

/**
 * A point of the source camera's frame in the world.
 * @param {Vec3} point @param {ArrayLike<number>} source @returns {Vec3}
 */
export function inWorld(point, source) {
  const [x, y, z] = [point[0] - source[3], point[1] - source[7], point[2] - source[11]]
  return [
    source[0] * x + source[4] * y + source[8] * z,
    source[1] * x + source[5] * y + source[9] * z,
    source[2] * x + source[6] * y + source[10] * z
  ]
}
