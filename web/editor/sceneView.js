// @ts-check
/** The scene view: a free look at the scene, the path and its handles. */
import {
  clamp,
  distance,
  intrinsicsFromFov,
  lookAtView,
  axesOf,
  add,
  scale,
  eyeOf,
  pixelRay,
  project,
  radians
} from './math.js'
import { aimed, keyAt, orbited, translated, withPivot } from './edits.js'
import { Surface, make, onDrag, wheelSteps } from './dom.js'
import { drawCompass, drawGizmo, drawPath, drawStage, drawTag, Pen } from './overlay.js'
import { dragged, pick, spots, worldSize } from './handles.js'

/**
 * @typedef {import('./math.js').Vec3} Vec3
 * @typedef {import('./math.js').Camera} Camera
 * @typedef {import('./handles.js').Handle} Handle
 * @typedef {import('./editor.js').Editor} Editor
 */

const VIEW_FOV = 42
/** Share of the view's height that its name and the note take, where no path should begin. */
const HEADROOM = 0.16

export class SceneView {
  /** @param {Editor} editor */
  constructor(editor) {
    this.editor = editor
    this.surface = new Surface('Scene view: the camera path over the scene', editor.software)
    this.note = make('div', { class: 'ex4d-note' })
    this.element = make('div', { class: 'ex4d-view ex4d-scene' }, [this.surface.canvas, this.note])
    /** @type {Vec3} */
    this.focus = [0, 0, 2]
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
    const { document } = this.editor.state
    const path = this.editor.state.path
    this.focus = [document.pivot[0], document.pivot[1], document.pivot[2] * 0.62]
    let reach = 1.15 * document.radius
    for (const pose of path?.poses ?? []) reach = Math.max(reach, distance(eyeOf(pose), this.focus))
    this.reach = 2.35 * reach
    this.yaw = radians(-38)
    this.pitch = radians(24)
    const rises = () => {
      const { view } = this
      return path?.poses.some((pose) => project(view, eyeOf(pose))[1] < HEADROOM * view.intrinsics.height)
    }
    for (let tries = 0; tries < 8 && rises(); tries++) this.reach *= 1.1
    this.editor.redraw()
  }

  /** @param {'top' | 'side' | 'back'} name */
  standard(name) {
    ;[this.yaw, this.pitch] = { top: [0, radians(89.5)], side: [radians(-90), 0], back: [0, 0] }[name]
    this.editor.redraw()
  }

  /** @returns {Camera} */
  get view() {
    const { width, height } = this.surface.canvas
    const level = Math.cos(this.pitch)
    /** @type {Vec3} */
    const away = [Math.sin(this.yaw) * level, -Math.sin(this.pitch), -Math.cos(this.yaw) * level]
    return {
      pose: lookAtView(add(this.focus, scale(away, this.reach)), this.focus),
      intrinsics: intrinsicsFromFov(VIEW_FOV, width, height)
    }
  }

  /** The target at the playhead: the key's own, else the point at the pivot's distance. @returns {Vec3 | null} */
  get target() {
    const { state } = this.editor
    const key = keyAt(state.document, state.frame)
    if (key?.target) return key.target
    const camera = state.camera()
    if (!camera) return null
    const eye = eyeOf(camera.pose)
    const reach = Math.max(distance(eye, state.document.pivot), 0.2 * state.document.radius)
    return add(eye, scale(axesOf(camera.pose).forward, reach))
  }

  /** @param {Camera} view */
  spotList(view) {
    const { state } = this.editor
    const camera = state.camera()
    const eye = camera ? eyeOf(camera.pose) : null
    const target = this.target
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
      canvas.style.cursor = this.editor.picking ? 'crosshair' : next ? 'grab' : 'default'
      if (JSON.stringify(next) === JSON.stringify(this.hot)) return
      this.hot = next
      this.editor.redraw('scene')
    })
    canvas.addEventListener('pointerleave', () => {
      if (this.hot) this.editor.redraw('scene')
      this.hot = null
    })
    canvas.addEventListener(
      'wheel',
      (event) => {
        event.preventDefault()
        event.stopPropagation()
        this.reach = clamp(
          this.reach * 1.13 ** wheelSteps(event),
          1e-3 * this.editor.state.document.radius,
          400 * this.editor.state.document.radius
        )
        this.editor.touch()
        this.editor.redraw('scene')
      },
      { passive: false }
    )
    onDrag(
      canvas,
      (event) => this.press(event),
      (dx, dy, factor) => {
        this.pan(dx, dy)
        this.reach = clamp(
          this.reach / factor,
          1e-3 * this.editor.state.document.radius,
          400 * this.editor.state.document.radius
        )
        this.editor.touch()
        this.editor.redraw('scene')
      }
    )
  }

  /** Moves the view across the screen. @param {number} dx CSS pixels @param {number} dy */
  pan(dx, dy) {
    const { right, down } = axesOf(this.view.pose)
    const size = worldSize(this.view, this.focus, this.surface.unit)
    this.focus = add(this.focus, add(scale(right, -dx * size), scale(down, -dy * size)))
  }

  /** @param {PointerEvent} event */
  press(event) {
    const { editor } = this
    editor.focus()
    const start = this.surface.place(event)
    if (editor.picking && event.button === 0) {
      const point = editor.surfacePoint(this.view, start.x, start.y)
      if (point) editor.setPivot(point)
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
        editor.touch()
        editor.redraw('scene')
      }
    }
  }

  /** @param {Handle} handle @param {{x: number, y: number}} start */
  grab(handle, start) {
    const { editor } = this
    const { state } = editor
    if (handle.kind === 'key') {
      state.goTo(handle.frame)
      state.selected = handle.frame
      this.active = 'camera'
    } else if (handle.kind !== 'axis' && handle.kind !== 'plane') this.active = handle.kind
    editor.redraw()
    const moving = this.active
    const camera = state.camera()
    const origin = { camera: camera && eyeOf(camera.pose), target: this.target, pivot: state.document.pivot }[moving]
    if (!origin) return null
    const view = this.view
    let last = origin
    return {
      move: (/** @type {PointerEvent} */ next) => {
        const step = editor.snapping !== next.altKey ? editor.snapStep() : 0
        const now = this.surface.place(next)
        const pivot = state.document.pivot
        if (moving === 'camera' && next.shiftKey) {
          // Shift carries the camera around the pivot, keeping its distance.
          const point = dragged(view, handle, origin, start, now)
          const from = [last, point].map((p) => [
            Math.atan2(p[0] - pivot[0], pivot[2] - p[2]),
            Math.asin(clamp(-(p[1] - pivot[1]) / (distance(p, pivot) || 1), -1, 1))
          ])
          last = point
          state.editKey('orbit', (key) => orbited(key, pivot, from[1][0] - from[0][0], from[1][1] - from[0][1]))
        } else {
          const point = dragged(view, handle, origin, start, now, step)
          last = point
          if (moving === 'pivot') state.edit('pivot', (document) => withPivot(document, point))
          else if (moving === 'target') state.editKey('target', (key) => aimed(key, point))
          else
            state.editKey('camera', (key) =>
              translated(
                key,
                /** @type {Vec3} */ (point.map((v, i) => v - key.position[i])),
                next.ctrlKey || next.metaKey
              )
            )
        }
        editor.touch()
      },
      end: () => state.settle()
    }
  }

  draw() {
    if (!this.surface.fit()) return
    const { editor } = this
    const { state } = editor
    const { canvas, context, unit } = this.surface
    const radius = state.document.radius
    const { width, height } = canvas
    const view = this.view
    const pen = new Pen(context, view, unit)
    this.drawBackdrop(pen, width, height)
    const path = state.path
    const camera = state.camera()
    if (path && camera) {
      const keys = state.document.source ? [] : state.document.keyframes
      drawPath(pen, {
        poses: path.poses,
        frame: state.frame,
        keys,
        selected: state.selected,
        camera,
        sourceLens: state.lens,
        target: this.target,
        pivot: state.document.pivot,
        radius,
        hot: this.hot,
        inside: editor.warnings.inside,
        keyCameras:
          keys.length <= 24
            ? keys.map((key) => ({ frame: key.frame, camera: /** @type {Camera} */ (state.camera(key.frame)) }))
            : []
      })
      const active = { camera: eyeOf(camera.pose), target: this.target, pivot: state.document.pivot }[this.active]
      if (active && !editor.playback.playing) drawGizmo(pen, active, this.hot)
    }
    drawCompass(pen, height)
    drawTag(context, ['Scene'], unit)
    if (this.note.textContent !== editor.sceneNote) this.note.textContent = editor.sceneNote
  }

  /** @param {Pen} pen @param {number} width @param {number} height */
  drawBackdrop(pen, width, height) {
    const { editor, backdrop } = this
    const { radius } = editor.state.document
    const index = editor.clipIndex
    const key = [
      ...Array.from(pen.view.pose),
      width,
      height,
      index,
      editor.clip?.serial,
      radius,
      editor.groundHeight,
      editor.renderer?.lost
    ].join()
    if (key !== this.backdropKey || this.backdropStep > editor.pace.step) {
      this.backdropKey = key
      this.backdropStep = editor.pace.step
      backdrop.width = width
      backdrop.height = height
      const context = /** @type {CanvasRenderingContext2D} */ (
        backdrop.getContext('2d', { alpha: false, willReadFrequently: editor.software })
      )
      drawStage(new Pen(context, pen.view, pen.unit), width, height)
      editor.renderer?.paint(context, {
        clip: editor.clip,
        index,
        camera: pen.view,
        width,
        height,
        mode: 'scene',
        step: editor.pace.step,
        near: Math.max(1e-4 * radius, 0.01 * this.reach),
        ground: { centre: [0, editor.groundHeight, 0.6 * radius], cell: radius / 2, tint: [0.75, 0.8, 0.9, 0.34] }
      })
    }
    pen.context.drawImage(backdrop, 0, 0)
  }

  /** Ray under a pixel, for picking. @param {number} x @param {number} y */
  ray(x, y) {
    return pixelRay(this.view, x, y)
  }
}
