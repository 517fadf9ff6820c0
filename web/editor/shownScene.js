/**
 * The scene that is shown: the clip of the last run, where its ground is, and what of it is at the playhead.
 *
 * @import { Clip } from './clip.js'
 * @import { Camera, Intrinsics, Vec3 } from './math.js'
 * @import { EditorState, SceneFacts } from './state.js'
 */
import { IDENTITY_POSE, pixelRay, resized } from './math.js'
import { groundHeight, meetSurface } from './picking.js'
import { cameraFrom, inWorld, isSourceView, sourceLensAt, sourcePose, sourceWay, withLensOf } from './sourceCamera.js'
import { sourceFrame } from './time.js'

export class ShownScene {
  /** @param {EditorState} state */
  constructor(state) {
    this.state = state
    /** @type {Clip | null} */
    this.clip = null
    /** y of the ground. */
    this.groundHeight = 1
  }

  /**
   * Shows a clip whose first frame has arrived.
   * @param {Clip} clip
   * @returns {SceneFacts} what the path is to know of it
   */
  show(clip) {
    this.clip?.dispose()
    this.clip = clip
    const { header, frames } = clip
    const [width, height] = header.source
    if (frames[0]) this.groundHeight = groundHeight(header, frames[0].depth)
    return {
      radius: header.radius,
      pivot: header.pivot,
      frames: header.clip_frames,
      moves: !!header.source_poses,
      lensAt: header.source_lenses && ((number) => sourceLensAt(header, number)),
      intrinsics: resized({ ...header.intrinsics, width: header.width, height: header.height }, width, height)
    }
  }

  /** The clip's stored frame for the playhead, -1 = none. */
  get index() {
    return this.clip ? this.clip.indexOf(this.sourceFrame(this.clip)) : -1
  }

  /** The frame of a clip that the path shows at the playhead. @param {Clip} clip */
  sourceFrame(clip) {
    return sourceFrame(this.state.document, clip.header.clip_frames, this.state.frame)
  }

  /** Where the source camera stands in the path's world at the playhead. */
  get sourcePose() {
    return this.clip ? sourcePose(this.clip.header, Math.max(0, this.index), this.state.document) : IDENTITY_POSE
  }

  /** A camera of the path's world as the mesh's vertices see it. @param {Camera} camera */
  meshCamera(camera) {
    return cameraFrom(camera, this.sourcePose)
  }

  /** The way of the source camera through the path's world, and its lens at the playhead. */
  get sourceWay() {
    return this.clip ? sourceWay(this.clip.header, this.state.document) : []
  }

  /** @returns {Intrinsics} */
  get sourceLens() {
    const { clip, state } = this
    if (!clip) return state.lens
    const { width, height } = clip.header
    return { ...withLensOf(clip.header, Math.max(0, this.index)).intrinsics, width, height }
  }

  /** Whether the renderer passes the source frame through here: frame 0, seen from where its moment was taken. */
  showsSource() {
    const { clip, index } = this
    if (this.state.frame !== 0 || !clip?.frames[index]) return false
    const camera = this.state.camera(0)
    return !!camera && isSourceView(this.meshCamera(camera), clip.header, index)
  }

  /**
   * The scene's point under a pixel of a view.
   * @param {Camera} camera
   * @param {number} x
   * @param {number} y
   * @returns {Vec3 | null}
   */
  surfacePoint(camera, x, y) {
    const index = Math.max(0, this.index)
    const frame = this.clip?.frames[index]
    if (!frame || !this.clip) return null
    const source = this.sourcePose
    const ray = pixelRay(cameraFrom(camera, source), x, y)
    const point = meetSurface(withLensOf(this.clip.header, index), frame.depth, ray)
    return point && inWorld(point, source)
  }

  dispose() {
    this.clip?.dispose()
    this.clip = null
  }
}
