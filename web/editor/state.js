/**
 * What the editor edits: the document, the playhead, undo, and what the path evaluates to. Knows nothing of the page.
 *
 * @import { EvaluatedPath } from './edits.js'
 * @import { Camera, Intrinsics, Vec3 } from './math.js'
 * @import { Keyframe, PathDocument } from './pathDocument.js'
 * @typedef {{radius: number, pivot: Vec3, intrinsics: Intrinsics, frames: number,
 *   moves?: boolean, lensAt?: (frame: number) => Intrinsics}} SceneFacts `lensAt`: of a clip that zooms, at its frames
 */
import { add, axesOf, distance, eyeOf, intrinsicsFromFov, scale } from './math.js'
import { keyAt, withKey } from './edits.js'
import { sourceFrame } from './time.js'
import { compactText, evaluate, parseDocument, presetDocument } from './trajectory.js'

const UNDO_STEPS = 200
/** Edits of one kind closer together than this (milliseconds) undo as one. */
const MERGE_WITHIN = 700

/**
 * The lens of the training data, for a stage without a scene.
 * @param {number} width
 * @param {number} height
 * @returns {Intrinsics}
 */
export function defaultIntrinsics(width = 512, height = 512) {
  const focal = (500 * width) / 512
  return { fx: focal, fy: focal, cx: width / 2, cy: height / 2, width, height }
}

/** @param {PathDocument} document @param {Intrinsics} lens @returns {EvaluatedPath} */
export function evaluatePath(document, lens) {
  const result = evaluate(document, { intrinsics: lens })
  return { poses: result.worldToCamera, intrinsics: result.intrinsics, fov: result.fov }
}

export class EditorState {
  /**
   * @param {{write: (text: string) => void, lock?: () => string, now?: () => number}} host `write` receives every
   *   committed document; `lock` says why an edit would not count, empty = it does
   */
  constructor({ write, lock = () => '', now = () => performance.now() }) {
    this.write = write
    this.lock = lock
    this.now = now
    /** @type {SceneFacts | null} */
    this.scene = null
    /** @type {PathDocument} */
    this.document = presetDocument('orbit', { frames: 49, fps: 15 })
    /** @type {string | null} why the text of the widget is not the shown path */
    this.problem = null
    this.text = ''
    this.frame = 0
    /** @type {number | null} frame of the selected key */
    this.selected = null
    /** @type {string[]} */
    this.past = []
    /** @type {string[]} */
    this.future = []
    /** Why the last edit was not made; empty = it was. */
    this.refused = ''
    this.lastEdit = { label: '', at: -Infinity }
    /** @type {Set<(what: 'path' | 'frame' | 'scene') => void>} */
    this.listeners = new Set()
    /** @type {EvaluatedPath | null} */
    this.evaluated = null
    /** A pointer is down: whatever its drag changes is one undo step, however long it takes. */
    this.held = false
  }

  /** @param {'path' | 'frame' | 'scene'} what */
  announce(what) {
    for (const listener of this.listeners) listener(what)
  }

  /** The scene's lens, or the default one at the document's size. @returns {Intrinsics} */
  get lens() {
    if (this.scene) return this.scene.intrinsics
    const { width, height } = this.document
    return width && height ? defaultIntrinsics(width, height) : defaultIntrinsics()
  }

  /** Length of the clip; without a scene that of the path. */
  get clipFrames() {
    return this.scene && this.scene.frames > 1 ? this.scene.frames : this.document.frames
  }

  /** The evaluated path; null where it cannot be evaluated (`problem` says why). @returns {EvaluatedPath | null} */
  get path() {
    if (this.evaluated) return this.evaluated
    try {
      this.evaluated = evaluatePath(this.document, this.lens)
    } catch (error) {
      this.problem = /** @type {Error} */ (error).message
      this.evaluated = null
    }
    return this.evaluated
  }

  /** The camera of a frame. @param {number} [frame] @returns {Camera | null} */
  camera(frame = this.frame) {
    const path = this.path
    if (!path) return null
    const at = Math.min(Math.max(0, Math.round(frame)), path.poses.length - 1)
    let intrinsics = this.zoomingLens(at) ?? path.intrinsics?.[at]
    if (!intrinsics) {
      const lens = this.lens
      const fov = path.fov?.[at]
      intrinsics = fov ? { ...intrinsicsFromFov(fov, lens.width, lens.height), cx: lens.cx, cy: lens.cy } : lens
    }
    return { pose: path.poses[at], intrinsics }
  }

  /** The source camera's own lens, with which a path that rides on it and leaves the lens open zooms. @param {number} at */
  zoomingLens(at) {
    const { scene, document } = this
    const rides = scene?.lensAt && document.frame_of_reference !== 'world' && document.width === null
    if (!rides) return null
    const asks = document.source ? [] : document.keyframes
    if (asks.some((key) => key.fov !== null || key.lens_shift.some(Boolean))) return null
    return scene.lensAt?.(sourceFrame(document, scene.frames, at)) ?? null
  }

  /** The target at the playhead: the key's own, else the point at the pivot's distance. @returns {Vec3 | null} */
  get target() {
    const key = keyAt(this.document, this.frame)
    if (key?.target) return key.target
    const camera = this.camera()
    if (!camera) return null
    const eye = eyeOf(camera.pose)
    const reach = Math.max(distance(eye, this.document.pivot), 0.2 * this.document.radius)
    return add(eye, scale(axesOf(camera.pose).forward, reach))
  }

  /**
   * Takes the widget's text. Empty text means the `fallback` document. A text that is no path leaves the shown path
   * alone and is told in `problem`; it is not overwritten before the next edit.
   * @param {string} text @param {() => PathDocument} fallback
   */
  read(text, fallback) {
    this.text = text
    this.refused = ''
    try {
      const next = text.trim() ? parseDocument(text) : fallback()
      const tried = evaluatePath(next, this.scene?.intrinsics ?? this.lens)
      this.document = next
      this.evaluated = tried
      this.problem = null
    } catch (error) {
      this.problem = /** @type {Error} */ (error).message
    }
    this.frame = Math.min(this.frame, this.document.frames - 1)
    if (this.selected !== null && !keyAt(this.document, this.selected)) this.selected = null
    this.announce('path')
  }

  /**
   * Drops the edited path for the node's own preset widgets; undo brings it back.
   * @param {() => PathDocument} fallback
   */
  reset(fallback) {
    this.past.push(JSON.stringify(this.document))
    this.future = []
    this.settle()
    this.write('')
    this.read('', fallback)
  }

  /** @param {SceneFacts | null} scene */
  setScene(scene) {
    this.scene = scene
    this.evaluated = null
    this.announce('scene')
  }

  /** @param {number} frame */
  goTo(frame) {
    const next = Math.min(Math.max(0, Math.round(frame)), this.document.frames - 1)
    if (next === this.frame) return
    this.frame = next
    this.selected = !this.document.source && keyAt(this.document, next) ? next : null
    this.announce('frame')
  }

  /** Selects a key, or none. @param {number | null} frame of the key */
  select(frame) {
    this.selected = frame
    this.announce('frame')
  }

  /** Whether a frame has a key; a preset has none. @param {number} frame */
  isKey(frame) {
    return !this.document.source && !!keyAt(this.document, frame)
  }

  /**
   * Applies a change. The result is checked and evaluated first, so that an impossible path (camera on its target)
   * leaves everything as it was.
   * @param {string} label consecutive edits of one label are one undo step
   * @param {(document: PathDocument, path: EvaluatedPath) => PathDocument} change
   * @returns {boolean} whether it was applied
   */
  edit(label, change) {
    const path = this.path
    if (!path || this.refuses()) return false
    /** @type {PathDocument} */
    let next
    try {
      next = parseDocument(change(this.document, path))
      this.evaluated = evaluatePath(next, this.lens)
    } catch (error) {
      this.evaluated = path
      this.refused = /** @type {Error} */ (error).message
      this.announce('frame')
      return false
    }
    const now = this.now()
    const soon = this.held || now - this.lastEdit.at < MERGE_WITHIN
    const merge = label === this.lastEdit.label && soon && this.past.length > 0
    if (!merge) {
      this.past.push(JSON.stringify(this.document))
      if (this.past.length > UNDO_STEPS) this.past.shift()
    }
    this.lastEdit = { label, at: now }
    this.future = []
    this.refused = ''
    this.problem = null
    this.adopt(next)
    return true
  }

  /** Whether edits would not count now; `refused` says why. */
  refuses() {
    const why = this.lock()
    if (!why) return false
    this.refused = why
    this.announce('frame')
    return true
  }

  /**
   * Changes the key at the playhead, making it first where there is none.
   * @param {string} label
   * @param {(key: Keyframe) => Keyframe} change
   */
  editKey(label, change) {
    const frame = this.frame
    const done = this.edit(`${label} ${frame}`, (document, path) => {
      const ready = withKey(document, path, frame)
      return { ...ready, keyframes: ready.keyframes.map((key) => (key.frame === frame ? change(key) : key)) }
    })
    if (done && this.selected !== frame) this.select(frame)
    return done
  }

  /** Ends a drag: the next edit is an undo step of its own. */
  settle() {
    this.lastEdit = { label: '', at: -Infinity }
  }

  /** @param {PathDocument} next */
  adopt(next) {
    this.document = next
    this.frame = Math.min(this.frame, next.frames - 1)
    if (this.selected !== null && !keyAt(next, this.selected)) this.selected = null
    this.text = compactText(next)
    this.write(this.text)
    this.announce('path')
  }

  undo() {
    this.swap(this.past, this.future)
  }

  redo() {
    this.swap(this.future, this.past)
  }

  /** @param {string[]} from @param {string[]} to */
  swap(from, to) {
    if (!from.length || this.refuses()) return
    const text = /** @type {string} */ (from.pop())
    to.push(JSON.stringify(this.document))
    this.evaluated = null
    this.settle()
    this.problem = null
    this.adopt(parseDocument(text))
  }
}
