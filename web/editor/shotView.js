/**
 * The shot view: what the camera at the playhead sees. Dragging in it moves that camera.
 *
 * @import { Commands } from './commands.js'
 * @import { Redraw } from './drawLoop.js'
 * @import { Camera, Vec3 } from './math.js'
 * @import { Modes, ShotMode } from './modes.js'
 * @import { Pace } from './pace.js'
 * @import { Renderer } from './renderer.js'
 * @import { ShownScene } from './shownScene.js'
 * @import { EditorState } from './state.js'
 * @import { Warnings } from './warnings.js'
 *
 * @typedef {object} ShotViewOptions
 * @property {EditorState} state
 * @property {Commands} commands
 * @property {ShownScene} scene
 * @property {Renderer | null} renderer null where the browser has none
 * @property {Modes} modes
 * @property {Pace} pace
 * @property {Warnings} warnings
 * @property {(camera: Camera, x: number, y: number) => void} pickPivot makes what is under a pixel the pivot
 * @property {() => void} focus gives the editor the keys
 * @property {Redraw} redraw
 */
import { IDENTITY_POSE, axesOf, distance, eyeOf, normalize, radians, add, scale, resized } from './math.js'
import { dollied, looked, orbited, spherical, translated } from './edits.js'
import { Surface, button, make, onDrag, wheelSteps } from './dom.js'
import { drawPath, drawTag, Pen } from './overlay.js'
import { setsTheTime } from './time.js'

/** Turning speed of a drag over the whole height of the picture, radians. */
const TURN = 1.6

export class ShotView {
  /** @param {ShotViewOptions} options */
  constructor({ state, commands, scene, renderer, modes, pace, warnings, pickPivot, focus, redraw }) {
    this.state = state
    this.commands = commands
    this.scene = scene
    this.renderer = renderer
    this.modes = modes
    this.pace = pace
    this.warnings = warnings
    this.pickPivot = pickPivot
    this.focus = focus
    this.redraw = redraw
    this.surface = new Surface('Shot view: what the camera sees at the playhead', pace.software)
    this.buttons = /** @type {[ShotMode, string, string][]} */ ([
      ['colour', 'Colour', 'The rendered picture, holes black (1)'],
      ['mask', 'Mask', 'White = seen, black = to be generated (2)'],
      ['checker', 'Holes', 'The picture over a checkerboard of holes (3)']
    ]).map(([mode, text, title]) => ({ mode, element: button('', title, () => modes.set({ mode }), text) }))
    const memoryTitle = 'Holes filled with what other frames of the clip saw (4)'
    this.memory = button('', memoryTitle, () => modes.toggle('memory'), 'Memory')
    this.element = make('div', { class: 'ex4d-view ex4d-shot' }, [
      this.surface.canvas,
      make('div', { class: 'ex4d-tools' }, [
        this.memory,
        make(
          'div',
          { class: 'ex4d-group' },
          this.buttons.map(({ element }) => element)
        )
      ])
    ])
    this.showMode()
    this.listen()
  }

  listen() {
    const { state, commands, modes, pace } = this
    const { canvas } = this.surface
    canvas.addEventListener('contextmenu', (event) => event.preventDefault())
    onDrag(
      canvas,
      (event) => this.press(event),
      (dx, dy, factor) => {
        const unit = this.surface.unit / this.frame.height
        this.truck(dx * unit, dy * unit)
        state.editKey('truck', (key) => dollied(key, state.document.pivot, 1 / factor))
        pace.touch()
      }
    )
    canvas.addEventListener('pointermove', () => {
      canvas.style.cursor = modes.picking ? 'crosshair' : 'move'
    })
    canvas.addEventListener(
      'wheel',
      (event) => {
        event.preventDefault()
        event.stopPropagation()
        if (event.shiftKey) commands.zoomLens(wheelSteps(event) || Math.sign(event.deltaX))
        else commands.dolly(1.06 ** wheelSteps(event))
        pace.touch()
      },
      { passive: false }
    )
  }

  /** Presses the button of the picture that is shown; of memory there is one where the clip has it. */
  showMode() {
    this.memory.style.display = this.scene.clip?.memory ? '' : 'none'
    this.memory.setAttribute('aria-pressed', String(this.modes.memory))
    for (const { mode, element } of this.buttons) element.setAttribute('aria-pressed', String(mode === this.modes.mode))
  }

  /** The picture's place inside the view, letterboxed. */
  get frame() {
    const { width, height } = this.surface.canvas
    const lens = this.state.camera()?.intrinsics ?? this.state.lens
    const size = Math.min(width / lens.width, height / lens.height)
    const w = Math.max(2, Math.round(lens.width * size))
    const h = Math.max(2, Math.round(lens.height * size))
    return { x: Math.round((width - w) / 2), y: Math.round((height - h) / 2), width: w, height: h }
  }

  /** The camera for a picture of that size. @param {number} width @param {number} height @returns {Camera | null} */
  cameraAt(width, height) {
    const camera = this.state.camera()
    return camera && { pose: camera.pose, intrinsics: resized(camera.intrinsics, width, height) }
  }

  /** @param {PointerEvent} event */
  press(event) {
    const { state, modes } = this
    this.focus()
    const start = this.surface.place(event)
    const box = this.frame
    if (modes.picking && event.button === 0) {
      const camera = this.cameraAt(box.width, box.height)
      if (camera) this.pickPivot(camera, start.x - box.x, start.y - box.y)
      return null
    }
    let last = start
    const button = event.button
    return {
      move: (/** @type {PointerEvent} */ next) => {
        const now = this.surface.place(next)
        const [dx, dy] = [(now.x - last.x) / box.height, (now.y - last.y) / box.height]
        last = now
        const camera = state.camera()
        if (!camera) return
        const pivot = state.document.pivot
        if (modes.flying || next.ctrlKey || next.metaKey) {
          state.editKey('look', (key) => looked(key, -dx * TURN * 0.6, dy * TURN * 0.6))
        } else if (button === 1 || button === 2 || next.shiftKey) {
          this.truck(dx, dy)
        } else if (next.altKey) {
          state.editKey('roll', (key) => ({ ...key, roll: key.roll + dx * 90 }))
        } else {
          state.editKey('orbit', (key) => orbited(key, pivot, -dx * TURN, dy * TURN))
        }
        this.pace.touch()
      },
      end: () => {
        if (modes.snapping) this.snapAngle()
        state.settle()
      }
    }
  }

  /**
   * Moves the camera sideways so that the pivot follows the pointer.
   * @param {number} dx heights of the picture
   * @param {number} dy
   */
  truck(dx, dy) {
    const { state } = this
    const camera = state.camera()
    if (!camera) return
    const box = this.frame
    const { right, down } = axesOf(camera.pose)
    const size =
      (Math.max(distance(eyeOf(camera.pose), state.document.pivot), 1e-3) * box.height) /
      resized(camera.intrinsics, box.width, box.height).fx
    state.editKey('truck', (key) => translated(key, add(scale(right, -dx * size), scale(down, -dy * size)), true))
  }

  /** With snapping on, an orbit ends on a whole 5 degrees. */
  snapAngle() {
    const { state } = this
    if (state.lastEdit.label !== `orbit ${state.frame}`) return
    const camera = state.camera()
    if (!camera) return
    const { azimuth } = spherical(eyeOf(camera.pose), state.document.pivot)
    state.editKey('orbit', (key) =>
      orbited(key, state.document.pivot, radians(Math.round(azimuth / 5) * 5 - azimuth), 0)
    )
  }

  /** One step of fly mode. @param {Set<string>} keys codes that are held @param {number} seconds */
  fly(keys, seconds) {
    const { state } = this
    const camera = state.camera()
    if (!camera) return
    const { right, forward } = axesOf(camera.pose)
    /** @type {Vec3} */
    let way = [0, 0, 0]
    for (const [code, direction] of /** @type {[string, Vec3][]} */ ([
      ['KeyW', forward],
      ['KeyS', scale(forward, -1)],
      ['KeyD', right],
      ['KeyA', scale(right, -1)],
      ['KeyE', [0, -1, 0]],
      ['KeyQ', [0, 1, 0]]
    ]))
      if (keys.has(code)) way = add(way, direction)
    if (way.every((v) => v === 0)) return
    const speed = state.document.radius * 0.6 * (keys.has('ShiftLeft') || keys.has('ShiftRight') ? 3 : 1)
    state.editKey('fly', (key) => translated(key, scale(normalize(way), speed * seconds), true))
    this.pace.touch()
  }

  draw() {
    if (!this.surface.fit()) return
    const { state, scene, renderer } = this
    const { mode, points, memory } = this.modes
    const { context, canvas, unit } = this.surface
    context.fillStyle = '#0d0f12'
    context.fillRect(0, 0, canvas.width, canvas.height)
    const box = this.frame
    const camera = this.cameraAt(box.width, box.height)
    if (!camera) return
    context.save()
    context.translate(box.x, box.y)
    context.beginPath()
    context.rect(0, 0, box.width, box.height)
    context.clip()
    const { clip, index } = scene
    const { width, height } = box
    const showsSource = scene.showsSource() && !points
    if (showsSource) this.drawSource(box)
    else if (clip && renderer) {
      if (mode === 'checker') drawChecker(context, width, height, 9 * unit)
      const meshCamera = scene.meshCamera(camera)
      const look = { mode, points, memory, step: this.pace.step }
      renderer.paint(context, { clip, index, camera, meshCamera, width, height, ...look })
    } else this.drawEmpty(camera, box)
    context.restore()
    const holes = this.warnings.holes[state.frame]
    const { azimuth, elevation } = spherical(eyeOf(camera.pose), state.document.pivot)
    const parts = ['Shot', `${signed(azimuth)}°`, `height ${signed(elevation)}°`]
    if (clip && holes >= 0) parts.push(`${Math.round(100 * holes)} % holes`)
    if (setsTheTime(state.document))
      parts.push(`clip ${this.scene.clip ? scene.sourceFrame(this.scene.clip) : state.frame}`)
    if (showsSource) parts.push('source frame')
    else if (memory && !points && this.pace.step === 1 && clip?.memory) parts.push('with memory')
    drawTag(context, parts, unit)
  }

  /**
   * Frame 0 at the source's own place is passed through untouched by the renderer, with a full mask.
   * @param {{width: number, height: number}} box
   */
  drawSource(box) {
    const { context } = this.surface
    const image = this.scene.clip?.frames[Math.max(0, this.scene.index)]?.image
    if (this.modes.mode === 'mask' || !image) {
      context.fillStyle = '#ffffff'
      context.fillRect(0, 0, box.width, box.height)
    } else context.drawImage(image, 0, 0, box.width, box.height)
  }

  /**
   * Without a scene: the stage as the camera sees it.
   * @param {Camera} camera
   * @param {{width: number, height: number}} box
   */
  drawEmpty(camera, box) {
    const { context, unit } = this.surface
    const { state } = this
    const shade = context.createLinearGradient(0, 0, 0, box.height)
    shade.addColorStop(0, '#23272e')
    shade.addColorStop(1, '#181a1e')
    context.fillStyle = shade
    context.fillRect(0, 0, box.width, box.height)
    this.renderer?.paint(context, {
      clip: null,
      index: -1,
      camera,
      width: box.width,
      height: box.height,
      mode: 'scene',
      ground: {
        centre: [0, this.scene.groundHeight, state.document.radius],
        cell: state.document.radius / 2,
        tint: [0.75, 0.8, 0.9, 0.34]
      }
    })
    const path = state.path
    if (!path) return
    const pen = new Pen(context, camera, unit)
    drawPath(pen, {
      poses: [],
      frame: -1,
      keys: [],
      selected: null,
      camera,
      sourceLens: state.lens,
      sourcePose: IDENTITY_POSE,
      target: null,
      pivot: state.document.pivot,
      radius: state.document.radius,
      hot: null,
      inside: [],
      keyCameras: []
    })
  }
}

/** @param {number} value */
const signed = (value) => (Math.abs(value) < 0.05 ? '0.0' : `${value > 0 ? '+' : '−'}${Math.abs(value).toFixed(1)}`)

/** @type {Map<number, HTMLCanvasElement>} */
const tiles = new Map()

/** @param {CanvasRenderingContext2D} context @param {number} width @param {number} height @param {number} size */
function drawChecker(context, width, height, size) {
  const cell = Math.max(2, Math.round(size))
  let tile = tiles.get(cell)
  if (!tile) {
    tile = make('canvas', { width: 2 * cell, height: 2 * cell })
    const pen = /** @type {CanvasRenderingContext2D} */ (tile.getContext('2d'))
    pen.fillStyle = '#2b2022'
    pen.fillRect(0, 0, 2 * cell, 2 * cell)
    pen.fillStyle = '#4a3034'
    pen.fillRect(0, 0, cell, cell)
    pen.fillRect(cell, cell, cell, cell)
    if (tiles.size > 8) tiles.clear()
    tiles.set(cell, tile)
  }
  context.fillStyle = /** @type {CanvasPattern} */ (context.createPattern(tile, 'repeat'))
  context.fillRect(0, 0, width, height)
}
