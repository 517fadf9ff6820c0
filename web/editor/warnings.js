/**
 * What the path is warned about: frames whose camera stands inside the scene, and the share of holes of each frame,
 * measured one frame after another while nothing moves.
 *
 * @import { Clip } from './clip.js'
 * @import { Redraw } from './drawLoop.js'
 * @import { Camera } from './math.js'
 * @import { Modes } from './modes.js'
 * @import { Renderer } from './renderer.js'
 * @import { ShownScene } from './shownScene.js'
 * @import { EditorState } from './state.js'
 *
 * @typedef {Pick<Renderer, 'lost' | 'holeShare'>} HoleMeter
 * @typedef {object} WarningsOptions
 * @property {EditorState} state
 * @property {ShownScene} scene
 * @property {HoleMeter | null} renderer
 * @property {Pick<Modes, 'memory'>} modes
 * @property {() => boolean} isBusy whether something moves, which measuring would disturb
 * @property {Redraw} redraw
 */
import { eyeOf } from './math.js'
import { insideSurface } from './picking.js'
import { cameraFrom, isSourceView, seenFrom, sourcePose, withLensOf } from './sourceCamera.js'
import { sourceFrame } from './time.js'

/** Pause between measurements, and how long one may go on, in milliseconds. */
const [PAUSE, SPELL] = [40, 20]

export class Warnings {
  /** @param {WarningsOptions} options */
  constructor({ state, scene, renderer, modes, isBusy, redraw }) {
    this.state = state
    this.scene = scene
    this.modes = modes
    this.renderer = renderer
    this.isBusy = isBusy
    this.redraw = redraw
    /** Share of holes per frame, -1 = not known. @type {number[]} */
    this.holes = []
    /** Poses that `holes` belongs to. @type {(ArrayLike<number> | null)[]} */
    this.poses = []
    /** Frames of the clip that `holes` belongs to. @type {number[]} */
    this.shown = []
    /** @type {boolean[]} */
    this.inside = []
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.timer = undefined
    this.measuring = false
    /** Whether shares were measured that only the timeline has been drawn with. */
    this.measured = false
    this.disposed = false
  }

  /** Another scene: nothing is known of it. */
  forget() {
    this.holes = []
    this.poses = []
  }

  /** Marks what has to be measured again after the path or the scene has changed. */
  refresh() {
    const { path } = this.state
    if (!path) return
    const count = path.poses.length
    this.holes.length = this.poses.length = this.shown.length = count
    for (let i = 0; i < count; i++) {
      const known = this.poses[i]
      if (!this.isKnown(i)) this.holes[i] = this.holes[i] >= 0 && known ? this.holes[i] : -1
    }
    this.refreshInside()
    this.schedule()
  }

  refreshInside() {
    const { clip } = this.scene
    const { path } = this.state
    if (!path || !clip) {
      this.inside = []
      return
    }
    this.inside = path.poses.map((pose, i) => {
      const index = clip.indexOf(this.sourceFrame(clip, i))
      const frame = clip.frames[index]
      const eye = eyeOf(seenFrom(pose, sourcePose(clip.header, index, this.state.document)))
      return !!frame && insideSurface(withLensOf(clip.header, index), frame.depth, eye)
    })
  }

  schedule() {
    if (this.timer || this.measuring || this.disposed || !this.renderer || !this.scene.clip) return
    this.timer = setTimeout(() => {
      this.timer = undefined
      this.measure().catch((error) => console.error('EX-4D: what was measured of the holes was not shown.', error))
    }, PAUSE)
  }

  /** The frame of the clip that a frame of the path shows. @param {Clip} clip @param {number} i */
  sourceFrame(clip, i) {
    return sourceFrame(this.state.document, clip.header.clip_frames, i)
  }

  /** Whether the share of a frame was measured with the camera and the moment that it has. @param {number} i */
  isKnown(i) {
    const { clip } = this.scene
    const [known, pose] = [this.poses[i], this.state.path?.poses[i]]
    return !!known && !!pose && equalPoses(known, pose) && (!clip || this.shown[i] === this.sourceFrame(clip, i))
  }

  /** Frames whose share of holes is not known and can be had, from the playhead outwards. @returns {number[]} */
  unknown() {
    const { clip } = this.scene
    const { path, frame } = this.state
    if (!clip || !path) return []
    const { frames, frame_numbers: numbers, clip_frames: count } = clip.header
    return outwards(path.poses.length, frame).filter((i) => {
      if (this.isKnown(i)) return false
      const wanted = this.sourceFrame(clip, i)
      const index = clip.indexOf(wanted)
      return index >= 0 && (clip.loaded === frames || numbers[index] === wanted || count === 1)
    })
  }

  async measure() {
    const { scene, renderer } = this
    const { clip } = scene
    if (this.disposed || !clip || !renderer || renderer.lost) return
    if (this.isBusy()) {
      this.schedule()
      return
    }
    const start = performance.now()
    const waiting = this.unknown()
    if (!waiting.length) {
      // The shot's own share and the words of the status line follow once, not with every frame that is measured.
      if (this.measured) this.redraw()
      this.measured = false
      return
    }
    this.measuring = true
    try {
      for (const i of waiting) {
        if (this.isBusy() || performance.now() - start > SPELL || !(await this.measureFrame(clip, i))) break
      }
    } finally {
      // Whatever has gone wrong, with this frame or with drawing it: the others are measured all the same.
      this.measuring = false
      if (!renderer.lost) this.schedule()
    }
  }

  /** @param {Clip} clip @param {number} i a frame of the path @returns {Promise<boolean>} whether others may follow now */
  async measureFrame(clip, i) {
    const { state, scene } = this
    const renderer = /** @type {HoleMeter} */ (this.renderer)
    const pose = state.path?.poses[i]
    if (!pose) return false
    const shown = this.sourceFrame(clip, i)
    // A frame that cannot be drawn stays unknown until its camera moves, and is in no other's way.
    let share = -1
    try {
      const camera = /** @type {Camera} */ (state.camera(i))
      const index = clip.indexOf(shown)
      const seen = cameraFrom(camera, sourcePose(clip.header, index, state.document))
      share =
        i === 0 && isSourceView(seen, clip.header, index)
          ? 0
          : await renderer.holeShare(clip, index, seen, this.modes.memory)
      if (share < 0) return false
    } catch (error) {
      console.error(`EX-4D: the holes of frame ${i} were not measured.`, error)
      if (renderer.lost) return false
    }
    if (this.disposed || scene.clip !== clip) return false
    this.holes[i] = share
    this.poses[i] = pose
    this.shown[i] = shown
    this.measured = true
    this.redraw('time')
    return true
  }

  dispose() {
    this.disposed = true
    clearTimeout(this.timer)
  }
}

/** @param {ArrayLike<number>} a @param {ArrayLike<number>} b */
function equalPoses(a, b) {
  for (let i = 0; i < 12; i++) if (a[i] !== b[i]) return false
  return true
}

/** Frames from one outwards. @param {number} count @param {number} from */
function outwards(count, from) {
  return Array.from({ length: count }, (_, i) => i).sort((a, b) => Math.abs(a - from) - Math.abs(b - from))
}
