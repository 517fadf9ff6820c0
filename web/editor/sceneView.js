/**
 * The scene view: a free look at the scene, the path and its handles.
 *
 * @import { Redraw } from './drawLoop.js'
 * @import { Handle } from './handles.js'
 * @import { Camera, Vec3 } from './math.js'
 * @import { Modes } from './modes.js'
 * @import { Pace } from './pace.js'
 * @import { Playback } from './playback.js'
 * @import { Renderer } from './renderer.js'
 * @import { ShownScene } from './shownScene.js'
 * @import { EditorState } from './state.js'
 * @import { Warnings } from './warnings.js'
 *
 * @typedef {object} SceneViewOptions
 * @property {EditorState} state
 * @property {ShownScene} scene
 * @property {Renderer | null} renderer null where the browser has none
 * @property {Modes} modes
 * @property {Pace} pace
 * @property {Playback} playback
 * @property {Warnings} warnings
 * @property {() => string} note why there is no scene; empty = there is one
 * @property {(camera: Camera, x: number, y: number) => void} pickPivot makes what is under a pixel the pivot
 * @property {() => void} focus gives the editor the keys
 * @property {Redraw} redraw
 */
import {
  clamp,
  distance,
  intrinsicsFromFov,
  lookAtView,
  axesOf,
  add,
  scale,
  eyeOf,
  project,
  radians,
  sub
} from './math.js'
import { aimed, orbited, translated, withPivot } from './edits.js'
import { Surface, make, onDrag, wheelSteps } from './dom.js'
import { drawCompass, drawGizmo, drawPath, drawStage, drawTag, Pen } from './overlay.js'
import { dragged, pick, spots, worldSize } from './handles.js'
import { cameraFrom } from './sourceCamera.js'
import { word } from './words.js'

const VIEW_FOV = 42
/** Share of the view's height that its name takes, where no path should begin. */
const HEADROOM = 0.16
/** Pixels from a camera to the handle above it. */
const HANDLE = 12

export class SceneView {
  /** @param {SceneViewOptions} options */
  constructor({ state, scene, renderer, modes, pace, playback, warnings, note, pickPivot, focus, redraw }) {
    this.state = state
    this.scene = scene
    this.renderer = renderer
    this.modes = modes
    this.pace = pace
    this.playback = playback
    this.warnings = warnings
    this.noteText = note
    this.pickPivot = pickPivot
    this.focus = focus
    this.redraw = redraw
    this.surface = new Surface('Scene view: the camera path over the scene', pace.software)
    this.note = make('div', { class: 'ex4d-note' })
    this.element = make('div', { class: 'ex4d-view ex4d-scene' }, [this.surface.canvas, this.note])
    /** What the view turns around. @type {Vec3} */
    this.centre = [0, 0, 2]
    this.reach = 6
    this.yaw = radians(-38)
    this.pitch = radians(24)
    /** Which point carries the gizmo. @type {'camera' | 'target' | 'pivot'} */
    this.active = 'camera'
    /** @type {Handle | null} */
    this.hot = null
    /** Stage and mesh as last drawn: while only the path changes they are copied, not drawn again. */
    this.backdrop = make('canvas')
    this.backdropKey = ''
    this.backdropStep = 1
    this.listen()
  }

  /** Looks at the whole path and the subject again. */
  home() {
    const { document, path } = this.state
    this.centre = [document.pivot[0], document.pivot[1], document.pivot[2] * 0.62]
    let reach = 1.15 * document.radius
    for (const eye of [...(path?.poses ?? []).map(eyeOf), ...this.scene.sourceWay])
      reach = Math.max(reach, distance(eye, this.centre))
    this.reach = 2.35 * reach
    this.yaw = radians(-38)
    this.pitch = radians(24)
    const { headroom } = this
    const rises = () => {
      const { view } = this
      return path?.poses.some((pose) => project(view, eyeOf(pose))[1] < headroom * view.intrinsics.height)
    }
    for (let tries = 0; tries < 8 && rises(); tries++) this.reach *= 1.1
    this.redraw()
  }

  /** Share of the view's height to leave free of the path: for the name, and for the note, which wraps in narrow views. */
  get headroom() {
    const { note, element } = this
    const below = note.textContent ? note.offsetTop + note.offsetHeight + HANDLE : 0
    return Math.max(HEADROOM, below / Math.max(element.clientHeight, 1))
  }

  /** @param {'top' | 'side' | 'back'} name */
  standard(name) {
    ;[this.yaw, this.pitch] = { top: [0, radians(89.5)], side: [radians(-90), 0], back: [0, 0] }[name]
    this.redraw()
  }

  /** @returns {Camera} */
  get view() {
    const { width, height } = this.surface.canvas
    const level = Math.cos(this.pitch)
    /** @type {Vec3} */
    const away = [Math.sin(this.yaw) * level, -Math.sin(this.pitch), -Math.cos(this.yaw) * level]
    return {
      pose: lookAtView(add(this.centre, scale(away, this.reach)), this.centre),
      intrinsics: intrinsicsFromFov(VIEW_FOV, width, height)
    }
  }

  /** @param {Camera} view */
  spotList(view) {
    const { state } = this
    const { target } = state
    const camera = state.camera()
    const eye = camera ? eyeOf(camera.pose) : null
    const pivot = state.document.pivot
    return spots({
      view,
      unit: this.surface.unit,
      eye,
      target,
      pivot,
      active: { camera: eye, target, pivot }[this.active],
      keys: state.document.source ? [] : state.document.keyframes
    })
  }

  listen() {
    const { canvas } = this.surface
    canvas.addEventListener('contextmenu', (event) => event.preventDefault())
    canvas.addEventListener('pointermove', (event) => {
      if (event.buttons) return
      const at = this.surface.place(event)
      const next = pick(this.spotList(this.view), at.x, at.y)?.handle ?? null
      canvas.style.cursor = this.modes.picking ? 'crosshair' : next ? 'grab' : 'default'
      if (JSON.stringify(next) === JSON.stringify(this.hot)) return
      this.hot = next
      this.redraw('scene')
    })
    canvas.addEventListener('pointerleave', () => {
      if (this.hot) this.redraw('scene')
      this.hot = null
    })
    canvas.addEventListener(
      'wheel',
      (event) => {
        event.preventDefault()
        event.stopPropagation()
        this.zoom(1.13 ** wheelSteps(event))
      },
      { passive: false }
    )
    onDrag(
      canvas,
      (event) => this.press(event),
      (dx, dy, factor) => {
        this.pan(dx, dy)
        this.zoom(1 / factor)
      }
    )
  }

  /** Closer (factor < 1) or farther. @param {number} factor */
  zoom(factor) {
    const { radius } = this.state.document
    this.reach = clamp(this.reach * factor, 1e-3 * radius, 400 * radius)
    this.pace.touch()
    this.redraw('scene')
  }

  /** Moves the view across the screen. @param {number} dx CSS pixels @param {number} dy */
  pan(dx, dy) {
    const { right, down } = axesOf(this.view.pose)
    const size = worldSize(this.view, this.centre, this.surface.unit)
    this.centre = add(this.centre, add(scale(right, -dx * size), scale(down, -dy * size)))
  }

  /** @param {PointerEvent} event */
  press(event) {
    this.focus()
    const start = this.surface.place(event)
    if (this.modes.picking && event.button === 0) {
      this.pickPivot(this.view, start.x, start.y)
      return null
    }
    const spot = event.button === 0 && !event.shiftKey ? pick(this.spotList(this.view), start.x, start.y) : null
    if (spot) return this.grab(spot.handle, start)
    const panning = event.button === 1 || event.button === 2 || event.shiftKey
    let last = start
    return {
      move: (/** @type {PointerEvent} */ next) => {
        const now = this.surface.place(next)
        const [dx, dy] = [(now.x - last.x) / this.surface.unit, (now.y - last.y) / this.surface.unit]
        last = now
        if (panning) this.pan(dx, dy)
        else {
          this.yaw -= dx * 0.008
          this.pitch = clamp(this.pitch + dy * 0.008, radians(-89.5), radians(89.5))
        }
        this.pace.touch()
        this.redraw('scene')
      }
    }
  }

  /** A drag of a handle. @param {Handle} handle @param {{x: number, y: number}} start */
  grab(handle, start) {
    const { state } = this
    if (handle.kind === 'key') {
      state.goTo(handle.frame)
      state.selected = handle.frame
      this.active = 'camera'
    } else if (handle.kind !== 'axis' && handle.kind !== 'plane') this.active = handle.kind
    this.redraw()
    const moving = this.active
    const camera = state.camera()
    const origin = { camera: camera && eyeOf(camera.pose), target: state.target, pivot: state.document.pivot }[moving]
    if (!origin) return null
    const view = this.view
    let last = origin
    return {
      move: (/** @type {PointerEvent} */ next) => {
        const now = this.surface.place(next)
        if (moving === 'camera' && next.shiftKey) {
          const point = dragged(view, handle, origin, start, now)
          this.carryAround(last, point)
          last = point
        } else {
          const step = this.modes.snapping !== next.altKey ? snapStep(state.document.radius) : 0
          const point = dragged(view, handle, origin, start, now, step)
          last = point
          this.moveTo(moving, point, next.ctrlKey || next.metaKey)
        }
        this.pace.touch()
      },
      end: () => state.settle()
    }
  }

  /**
   * Carries the camera around the pivot as far as two points lie apart, keeping its distance.
   * @param {Vec3} from
   * @param {Vec3} to
   */
  carryAround(from, to) {
    const { state } = this
    const { pivot } = state.document
    const [before, after] = [from, to].map((p) => [
      Math.atan2(p[0] - pivot[0], pivot[2] - p[2]),
      Math.asin(clamp(-(p[1] - pivot[1]) / (distance(p, pivot) || 1), -1, 1))
    ])
    state.editKey('orbit', (key) => orbited(key, pivot, after[0] - before[0], after[1] - before[1]))
  }

  /**
   * @param {'camera' | 'target' | 'pivot'} moving
   * @param {Vec3} point
   * @param {boolean} whole a camera takes its target along
   */
  moveTo(moving, point, whole) {
    const { state } = this
    if (moving === 'pivot') state.edit('pivot', (document) => withPivot(document, point))
    else if (moving === 'target') state.editKey('target', (key) => aimed(key, point))
    else state.editKey('camera', (key) => translated(key, sub(point, key.position), whole))
  }

  draw() {
    if (!this.surface.fit()) return
    const { state } = this
    const { canvas, context, unit } = this.surface
    const { width, height } = canvas
    const { pivot, radius, source, keyframes } = state.document
    const pen = new Pen(context, this.view, unit)
    this.drawBackdrop(pen, width, height)
    const { path, target } = state
    const camera = state.camera()
    if (path && camera) {
      const keys = source ? [] : keyframes
      drawPath(pen, {
        poses: path.poses,
        frame: state.frame,
        keys,
        selected: state.selected,
        camera,
        sourceLens: this.scene.sourceLens,
        sourcePose: this.scene.sourcePose,
        sourceWay: this.scene.sourceWay,
        closed: !!state.document.loop,
        target,
        pivot,
        radius,
        hot: this.hot,
        inside: this.warnings.inside,
        keyCameras:
          keys.length <= 24
            ? keys.map((key) => ({ frame: key.frame, camera: /** @type {Camera} */ (state.camera(key.frame)) }))
            : []
      })
      const active = { camera: eyeOf(camera.pose), target, pivot }[this.active]
      if (active && !this.playback.playing) drawGizmo(pen, active, this.hot)
    }
    drawCompass(pen, height)
    drawTag(context, ['Scene'], unit)
    const note = word(this.noteText())
    if (this.note.textContent !== note) this.note.textContent = note
  }

  /** Stage and mesh. @param {Pen} pen @param {number} width @param {number} height */
  drawBackdrop(pen, width, height) {
    const { backdrop, scene, renderer, pace } = this
    const { radius } = this.state.document
    const { clip, index, groundHeight, sourcePose: source } = scene
    const key = [
      ...Array.from(pen.view.pose),
      width,
      height,
      index,
      ...Array.from(source),
      clip?.serial,
      radius,
      groundHeight,
      renderer?.lost,
      this.modes.points
    ].join()
    if (key !== this.backdropKey || this.backdropStep > pace.step) {
      this.backdropKey = key
      this.backdropStep = pace.step
      backdrop.width = width
      backdrop.height = height
      const context = /** @type {CanvasRenderingContext2D} */ (
        backdrop.getContext('2d', { alpha: false, willReadFrequently: pace.software })
      )
      drawStage(new Pen(context, pen.view, pen.unit), width, height)
      renderer?.paint(context, {
        clip,
        index,
        camera: pen.view,
        meshCamera: cameraFrom(pen.view, source),
        width,
        height,
        mode: 'scene',
        step: pace.step,
        points: this.modes.points,
        near: Math.max(1e-4 * radius, 0.01 * this.reach),
        ground: { centre: [0, groundHeight, 0.6 * radius], cell: radius / 2, tint: [0.75, 0.8, 0.9, 0.34] }
      })
    }
    pen.context.drawImage(backdrop, 0, 0)
  }
}

/** The step that drags snap to: a round number near a twentieth of the scene's radius. @param {number} radius */
function snapStep(radius) {
  const rough = radius / 20
  const power = 10 ** Math.floor(Math.log10(rough))
  return power * ([5, 2].find((factor) => factor * power <= rough) ?? 1)
}
