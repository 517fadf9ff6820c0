/**
 * The timeline: ruler, playhead, keys, time, the graph of angle and height, and the share of holes behind it.
 *
 * @import { Commands } from './commands.js'
 * @import { Redraw } from './drawLoop.js'
 * @import { EvaluatedPath } from './edits.js'
 * @import { Modes } from './modes.js'
 * @import { Pace } from './pace.js'
 * @import { Keyframe } from './pathDocument.js'
 * @import { Playback } from './playback.js'
 * @import { EditorState } from './state.js'
 * @import { Theme } from './theme.js'
 * @import { Warnings } from './warnings.js'
 *
 * @typedef {object} TimelineOptions
 * @property {EditorState} state
 * @property {Commands} commands
 * @property {Modes} modes
 * @property {Pace} pace
 * @property {Playback} playback
 * @property {Warnings} warnings
 * @property {Theme} theme
 * @property {() => void} focus gives the editor the keys
 * @property {Redraw} redraw
 */
import { eyeOf } from './math.js'
import { keyAt, placeKey, retimeKey, spherical } from './edits.js'
import { Surface, make, onDrag } from './dom.js'
import { COLOURS } from './theme.js'
import { ROW, TimeRow } from './timeRow.js'
import { word } from './words.js'

/** Sizes in CSS pixels. */
const SIDE = 14
const RULER = 18
const KEY_ROW = 17
const FONT = 'Inter, system-ui, sans-serif'

export class Timeline {
  /** @param {TimelineOptions} options */
  constructor({ state, commands, modes, pace, playback, warnings, theme, focus, redraw }) {
    this.state = state
    this.commands = commands
    this.modes = modes
    this.pace = pace
    this.playback = playback
    this.warnings = warnings
    this.theme = theme
    this.focus = focus
    this.redraw = redraw
    this.surface = new Surface('Timeline: keyframes, angle and holes over time', pace.software)
    this.element = make('div', { class: 'ex4d-time' }, [this.surface.canvas])
    this.timeRow = new TimeRow({ state, commands, modes, pace, theme })
    /** The key under the pointer. @type {number | null} */
    this.hot = null
    /** The playhead as last drawn. */
    this.shown = -1
    this.listen()
  }

  listen() {
    const { state, commands, redraw } = this
    const { canvas } = this.surface
    onDrag(canvas, (event) => this.press(event))
    canvas.addEventListener('dblclick', (event) => {
      const timed = this.timeKeyUnder(event)
      const frame = timed ?? this.frameAt(event)
      state.goTo(frame)
      if (this.isInTimeRow(event)) commands.toggleTime(frame)
      else if (!state.isKey(frame)) commands.addKey(frame)
    })
    canvas.addEventListener('pointermove', (event) => {
      if (event.buttons) return
      const [next, timed] = [this.keyUnder(event), this.timeKeyUnder(event)]
      canvas.style.cursor = timed !== null ? 'ns-resize' : next === null ? 'default' : 'grab'
      if (next !== this.hot || timed !== this.timeRow.hot) redraw('time')
      this.hot = next
      this.timeRow.hot = timed
    })
    canvas.addEventListener('pointerleave', () => {
      this.hot = this.timeRow.hot = null
      redraw('time')
    })
    canvas.addEventListener(
      'wheel',
      (event) => {
        event.preventDefault()
        event.stopPropagation()
        state.goTo(state.frame + (event.deltaY + event.deltaX > 0 ? 1 : -1))
      },
      { passive: false }
    )
  }

  get span() {
    return Math.max(1, this.state.document.frames - 1)
  }

  /** @param {number} frame @returns {number} canvas x */
  x(frame) {
    const unit = this.surface.unit
    return SIDE * unit + (frame / this.span) * (this.surface.canvas.width - 2 * SIDE * unit)
  }

  /** @param {{clientX: number, clientY: number}} event */
  frameAt(event) {
    const unit = this.surface.unit
    const { x } = this.surface.place(event)
    const share = (x - SIDE * unit) / (this.surface.canvas.width - 2 * SIDE * unit)
    return Math.max(0, Math.min(this.state.document.frames - 1, Math.round(share * this.span)))
  }

  /** @param {{clientX: number, clientY: number}} event @returns {number | null} */
  keyUnder(event) {
    const { document } = this.state
    if (document.source) return null
    const unit = this.surface.unit
    const { x, y } = this.surface.place(event)
    if (y < RULER * unit - 3 * unit || y > (RULER + KEY_ROW + 3) * unit) return null
    /** @type {number | null} */
    let best = null
    let nearest = 9 * unit
    for (const key of document.keyframes) {
      const away = Math.abs(this.x(key.frame) - x)
      if (away < nearest) [best, nearest] = [key.frame, away]
    }
    return best
  }

  /** The time row's place. @returns {import('./timeRow.js').Strip} */
  get strip() {
    const { context, canvas, unit } = this.surface
    const top = (RULER + KEY_ROW + 1) * unit
    const [left, right] = [SIDE * unit, canvas.width - SIDE * unit]
    return { context, unit, top, bottom: top + ROW * unit, left, right, x: (frame) => this.x(frame) }
  }

  /** @param {{clientX: number, clientY: number}} event */
  isInTimeRow(event) {
    const { y } = this.surface.place(event)
    return this.timeRow.shown && y > this.strip.top && y < this.strip.bottom
  }

  /** Frame of the key whose time is under the pointer. @param {{clientX: number, clientY: number}} event */
  timeKeyUnder(event) {
    return this.timeRow.shown ? this.timeRow.keyUnder(this.strip, this.surface.place(event)) : null
  }

  /** @param {PointerEvent} event */
  press(event) {
    const { state } = this
    this.focus()
    const timed = this.timeKeyUnder(event)
    if (timed !== null) {
      state.goTo(timed)
      state.select(timed)
      return this.timeRow.drag(timed, this.strip, (next) => this.surface.place(next).y)
    }
    const grabbed = this.keyUnder(event)
    if (grabbed === null) {
      this.playback.stop()
      state.goTo(this.frameAt(event))
      state.select(state.isKey(state.frame) ? state.frame : null)
      return { move: (/** @type {PointerEvent} */ next) => state.goTo(this.frameAt(next)) }
    }
    state.goTo(grabbed)
    state.select(grabbed)
    return event.altKey ? this.dragCopy(grabbed) : this.dragKey(grabbed)
  }

  /** A drag that moves a key in time. @param {number} grabbed its frame */
  dragKey(grabbed) {
    const { state } = this
    let at = grabbed
    return {
      move: (/** @type {PointerEvent} */ next) => {
        const to = this.frameAt(next)
        if (to === at || keyAt(state.document, to)) return
        const from = at
        at = to
        state.edit('move key', (document) => retimeKey(document, from, to))
        state.selected = to
        state.goTo(to)
        this.pace.touch()
      },
      end: () => state.settle()
    }
  }

  /** A drag that leaves a key where it is and moves a copy. @param {number} grabbed the key's frame */
  dragCopy(grabbed) {
    const { state } = this
    const key = /** @type {Keyframe} */ (keyAt(state.document, grabbed))
    let at = grabbed
    let placed = false
    return {
      move: (/** @type {PointerEvent} */ next) => {
        const to = this.frameAt(next)
        if (placed || to === grabbed || keyAt(state.document, to)) {
          if (placed && to !== at && !keyAt(state.document, to)) {
            state.edit('copy key', (document) => retimeKey(document, at, to))
            at = to
          }
        } else {
          placed = true
          at = to
          state.edit('copy key', (document) => placeKey(document, key, to))
        }
        state.selected = at
        state.goTo(at)
      },
      end: () => state.settle()
    }
  }

  // ----------------------------------------------------------------------------------------------------------- drawing

  draw() {
    const { shown: bends } = this.timeRow
    this.element.classList.toggle('ex4d-bends', bends)
    if (!this.surface.fit()) return
    const { canvas, context, unit } = this.surface
    this.shown = this.state.frame
    context.fillStyle = this.theme.field
    context.fillRect(0, 0, canvas.width, canvas.height)
    const top = (RULER + KEY_ROW + 4 + (bends ? ROW + 2 : 0)) * unit
    const bottom = canvas.height - 5 * unit
    this.drawHoles(top, bottom)
    this.drawRuler()
    const { path } = this.state
    if (path) this.drawAngles(path, top, bottom)
    if (bends) this.timeRow.draw(this.strip)
    this.drawKeys()
    this.drawPlayhead()
  }

  /** Canvas pixels per frame. */
  get column() {
    return (this.surface.canvas.width - 2 * SIDE * this.surface.unit) / this.span
  }

  /**
   * Share of holes: a quiet area, red where it passes the limit.
   * @param {number} top canvas y
   * @param {number} bottom
   */
  drawHoles(top, bottom) {
    const { context: c } = this.surface
    const { holes } = this.warnings
    const { holeLimit } = this.modes
    const half = this.column / 2
    const [first, last] = [this.x(0), this.x(this.span)]
    const count = Math.min(holes.length, this.state.document.frames)
    for (let i = 0; i < count; i++) {
      const share = holes[i]
      if (!(share >= 0)) continue
      c.fillStyle = share > holeLimit ? COLOURS.hole : COLOURS.source
      c.globalAlpha = share > holeLimit ? 0.38 : 0.2
      const size = share * (bottom - top)
      const left = Math.max(first, this.x(i) - half)
      c.fillRect(left, bottom - size, Math.min(last, this.x(i) + half) - left, size)
    }
    c.globalAlpha = 1
  }

  drawRuler() {
    const { context: c, unit } = this.surface
    const { faint, line } = this.theme
    const { column } = this
    c.font = `${10 * unit}px ${FONT}`
    c.textBaseline = 'middle'
    const step = [1, 2, 4, 5, 8, 10, 20, 25, 50, 100, 200, 500, 1000].find((s) => s * column > 34 * unit) ?? 2000
    const small = [1, 2, 4, 5, 10, 20, 50, 100, 200].find((s) => s * column > 5 * unit && step % s === 0) ?? step
    c.fillStyle = line
    for (let i = 0; i <= this.span; i += small)
      c.fillRect(Math.round(this.x(i)), (RULER - 4) * unit, Math.max(1, unit), 4 * unit)
    c.textAlign = 'center'
    for (let i = 0; i <= this.span; i += step) {
      c.fillStyle = line
      c.fillRect(Math.round(this.x(i)), (RULER - 7) * unit, Math.max(1, unit), 7 * unit)
      c.fillStyle = faint
      c.fillText(String(i), this.x(i), 6.5 * unit)
    }
  }

  /**
   * Angle and height around the pivot.
   * @param {EvaluatedPath} path
   * @param {number} top canvas y
   * @param {number} bottom
   */
  drawAngles(path, top, bottom) {
    const { canvas, context: c, unit } = this.surface
    const { theme, state } = this
    const { azimuths, elevations } = anglesOf(path, state.document.pivot)
    const low = Math.min(-10, ...azimuths, ...elevations)
    const high = Math.max(10, ...azimuths, ...elevations)
    const y = (/** @type {number} */ v) => bottom - 3 * unit - ((v - low) / (high - low)) * (bottom - top - 6 * unit)
    c.strokeStyle = theme.line
    c.lineWidth = Math.max(1, unit)
    c.setLineDash([2 * unit, 3 * unit])
    c.beginPath()
    c.moveTo(SIDE * unit, y(0))
    c.lineTo(canvas.width - SIDE * unit, y(0))
    c.stroke()
    c.setLineDash([])
    const curve = (/** @type {number[]} */ values, /** @type {string} */ colour, /** @type {number} */ size) => {
      c.strokeStyle = colour
      c.lineWidth = size * unit
      c.lineJoin = 'round'
      c.beginPath()
      values.forEach((v, i) => (i ? c.lineTo(this.x(i), y(v)) : c.moveTo(this.x(i), y(v))))
      c.stroke()
    }
    curve(elevations, theme.target, 1.2)
    curve(azimuths, theme.path, 1.8)
    c.textAlign = 'left'
    c.font = `${9.5 * unit}px ${FONT}`
    const wide = c.measureText(`${word('angle −000.0°')}  `).width
    const at = Math.min(state.frame, azimuths.length - 1)
    const [left, line] = [(SIDE + 2) * unit, top + 5 * unit]
    c.fillStyle = theme.path
    c.fillText(word(`angle ${azimuths[at].toFixed(1)}°`), left, line)
    c.fillStyle = theme.target
    c.fillText(word(`height ${elevations[at].toFixed(1)}°`), left + wide, line)
  }

  /** Keys; a preset shows its ends as hollow marks, since it has none of its own. */
  drawKeys() {
    const { canvas, context: c, unit } = this.surface
    const { theme, state } = this
    const { source, frames, keyframes } = state.document
    const row = (RULER + KEY_ROW / 2) * unit
    c.fillStyle = theme.line
    c.globalAlpha = 0.5
    c.fillRect(SIDE * unit, Math.round(row), canvas.width - 2 * SIDE * unit, Math.max(1, unit))
    c.globalAlpha = 1
    if (source) {
      for (const frame of [0, frames - 1]) {
        diamond(c, this.x(frame), row, 5 * unit)
        c.strokeStyle = theme.path
        c.lineWidth = 1.3 * unit
        c.stroke()
      }
      return
    }
    for (const key of keyframes) {
      const chosen = key.frame === state.selected
      diamond(c, this.x(key.frame), row, (chosen || key.frame === this.hot ? 6.5 : 5.5) * unit)
      c.fillStyle = chosen ? theme.text : theme.path
      c.fill()
      if (key.ease === 'linear') continue
      c.fillStyle = theme.field
      c.beginPath()
      c.arc(this.x(key.frame), row, 1.7 * unit, 0, 2 * Math.PI)
      c.fill()
    }
  }

  drawPlayhead() {
    const { canvas, context: c, unit } = this.surface
    const x = Math.round(this.x(this.state.frame))
    c.fillStyle = this.theme.text
    c.fillRect(x - Math.max(0.5, unit / 2), RULER * unit - 3 * unit, Math.max(1, unit), canvas.height)
    c.beginPath()
    c.moveTo(x - 5 * unit, RULER * unit - 10 * unit)
    c.lineTo(x + 5 * unit, RULER * unit - 10 * unit)
    c.lineTo(x, RULER * unit - 2 * unit)
    c.closePath()
    c.fill()
  }
}

/**
 * The camera's angle and height around a point, frame by frame, in degrees. Angles are unwrapped, so that a full turn
 * is a slope and not a jump.
 * @param {EvaluatedPath} path @param {[number, number, number]} pivot
 */
function anglesOf(path, pivot) {
  const around = path.poses.map((pose) => spherical(eyeOf(pose), pivot))
  let before = 0
  const azimuths = around.map(({ azimuth }, i) => {
    const turn = i ? Math.round((before - azimuth) / 360) * 360 : 0
    return (before = azimuth + turn)
  })
  return { azimuths, elevations: around.map(({ elevation }) => elevation) }
}

/** The outline of a key. @param {CanvasRenderingContext2D} c @param {number} x @param {number} y @param {number} r */
function diamond(c, x, y, r) {
  c.beginPath()
  c.moveTo(x, y - r)
  c.lineTo(x + r, y)
  c.lineTo(x, y + r)
  c.lineTo(x - r, y)
  c.closePath()
}
