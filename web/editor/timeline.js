// @ts-check
/** The timeline: ruler, playhead, keys, the graph of angle and height, and the share of holes behind it. */
import { eyeOf } from './math.js'
import { freeFrame, keyAt, placeKey, removeKey, retimeKey, spherical, withKey } from './edits.js'
import { Surface, make, onDrag } from './dom.js'
import { COLOURS } from './theme.js'

/** @typedef {import('./editor.js').Editor} Editor */
/** @import { Keyframe } from './pathDocument.js' */

const SIDE = 14
const RULER = 18
const KEY_ROW = 17

export class Timeline {
  /** @param {Editor} editor */
  constructor(editor) {
    this.editor = editor
    this.surface = new Surface('Timeline: keyframes, angle and holes over time', editor.software)
    this.element = make('div', { class: 'ex4d-time' }, [this.surface.canvas])
    /** @type {number | null} */
    this.hot = null
    /** The playhead as last drawn. */
    this.shown = -1
    const { canvas } = this.surface
    onDrag(canvas, (event) => this.press(event))
    canvas.addEventListener('dblclick', (event) => {
      const frame = this.frameAt(event)
      const { state } = editor
      state.goTo(frame)
      if (keyAt(state.document, frame) && !state.document.source) return
      state.edit('add key', (document, path) => withKey(document, path, frame))
      state.selected = frame
      editor.redraw()
    })
    canvas.addEventListener('pointermove', (event) => {
      if (event.buttons) return
      const next = this.keyUnder(event)
      canvas.style.cursor = next === null ? 'default' : 'grab'
      if (next !== this.hot) editor.redraw('time')
      this.hot = next
    })
    canvas.addEventListener('pointerleave', () => {
      this.hot = null
      editor.redraw('time')
    })
    canvas.addEventListener(
      'wheel',
      (event) => {
        event.preventDefault()
        event.stopPropagation()
        editor.state.goTo(editor.state.frame + (event.deltaY + event.deltaX > 0 ? 1 : -1))
      },
      { passive: false }
    )
  }

  get span() {
    return Math.max(1, this.editor.state.document.frames - 1)
  }

  /** @param {number} frame canvas x */
  x(frame) {
    const unit = this.surface.unit
    return SIDE * unit + (frame / this.span) * (this.surface.canvas.width - 2 * SIDE * unit)
  }

  /** @param {{clientX: number, clientY: number}} event */
  frameAt(event) {
    const unit = this.surface.unit
    const { x } = this.surface.place(event)
    const share = (x - SIDE * unit) / (this.surface.canvas.width - 2 * SIDE * unit)
    return Math.max(0, Math.min(this.editor.state.document.frames - 1, Math.round(share * this.span)))
  }

  /** @param {{clientX: number, clientY: number}} event @returns {number | null} */
  keyUnder(event) {
    const { document } = this.editor.state
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

  /** @param {PointerEvent} event */
  press(event) {
    const { editor } = this
    const { state } = editor
    editor.focus()
    const grabbed = this.keyUnder(event)
    if (grabbed === null) {
      editor.playback.stop()
      state.goTo(this.frameAt(event))
      state.selected = keyAt(state.document, state.frame) && !state.document.source ? state.frame : null
      editor.redraw()
      return { move: (/** @type {PointerEvent} */ next) => state.goTo(this.frameAt(next)) }
    }
    state.goTo(grabbed)
    state.selected = grabbed
    editor.redraw()
    let at = grabbed
    const copying = event.altKey
    if (copying) {
      const key = /** @type {Keyframe} */ (keyAt(state.document, grabbed))
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
    return {
      move: (/** @type {PointerEvent} */ next) => {
        const to = this.frameAt(next)
        if (to === at || keyAt(state.document, to)) return
        const from = at
        at = to
        state.edit('move key', (document) => retimeKey(document, from, to))
        state.selected = to
        state.goTo(to)
        editor.touch()
      },
      end: () => state.settle()
    }
  }

  /** Adds a key at the playhead, or removes the one there. */
  toggleKey() {
    const { state } = this.editor
    const there = !state.document.source && keyAt(state.document, state.frame)
    if (there) this.removeKey()
    else {
      state.edit('add key', (document, path) => withKey(document, path, state.frame))
      state.settle()
      state.selected = state.frame
    }
    this.editor.redraw()
  }

  removeKey() {
    const { state } = this.editor
    const frame = state.selected ?? state.frame
    if (state.document.source || !keyAt(state.document, frame)) return
    state.edit('delete key', (document) => removeKey(document, frame))
    state.settle()
    this.editor.redraw()
  }

  duplicateKey() {
    const { state } = this.editor
    const key = keyAt(state.document, state.selected ?? state.frame)
    if (state.document.source || !key) return
    const to = freeFrame(state.document, key.frame)
    if (to < 0) return
    state.edit('copy key', (document) => placeKey(document, key, to))
    state.settle()
    state.goTo(to)
    state.selected = to
    this.editor.redraw()
  }

  /** The next or previous key. @param {1 | -1} way */
  jump(way) {
    const { state } = this.editor
    const frames = state.document.source
      ? [0, state.document.frames - 1]
      : state.document.keyframes.map((key) => key.frame)
    const next =
      way > 0 ? frames.find((frame) => frame > state.frame) : frames.reverse().find((frame) => frame < state.frame)
    if (next === undefined) return
    state.goTo(next)
    state.selected = state.document.source ? null : next
    this.editor.redraw()
  }

  draw() {
    if (!this.surface.fit()) return
    const { editor, surface } = this
    const { state } = editor
    const { canvas, context: c, unit } = surface
    const { width, height } = canvas
    this.shown = state.frame
    const { text, faint, line } = editor.theme
    const path = state.path
    c.fillStyle = editor.fieldColour
    c.fillRect(0, 0, width, height)

    const top = (RULER + KEY_ROW + 4) * unit
    const bottom = height - 5 * unit
    const column = (width - 2 * SIDE * unit) / this.span
    // Holes: a quiet area, red where they pass the limit.
    for (let i = 0; i < editor.warnings.holes.length && i < state.document.frames; i++) {
      const share = editor.warnings.holes[i]
      if (!(share >= 0)) continue
      c.fillStyle = share > editor.warnings.holeLimit ? COLOURS.hole : COLOURS.source
      c.globalAlpha = share > editor.warnings.holeLimit ? 0.38 : 0.2
      const size = share * (bottom - top)
      const left = Math.max(this.x(0), this.x(i) - column / 2)
      c.fillRect(left, bottom - size, Math.min(this.x(this.span), this.x(i) + column / 2) - left, size)
    }
    c.globalAlpha = 1

    // Ruler.
    c.font = `${10 * unit}px Inter, system-ui, sans-serif`
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

    // Angle and height around the pivot.
    if (path) {
      const around = path.poses.map((pose) => spherical(eyeOf(pose), state.document.pivot))
      let before = 0
      const azimuths = around.map(({ azimuth }, i) => {
        // Unwrapped, so that a full turn is a slope and not a jump.
        const turn = i ? Math.round((before - azimuth) / 360) * 360 : 0
        return (before = azimuth + turn)
      })
      const elevations = around.map(({ elevation }) => elevation)
      const low = Math.min(-10, ...azimuths, ...elevations)
      const high = Math.max(10, ...azimuths, ...elevations)
      const y = (/** @type {number} */ v) => bottom - 3 * unit - ((v - low) / (high - low)) * (bottom - top - 6 * unit)
      c.strokeStyle = line
      c.lineWidth = Math.max(1, unit)
      c.setLineDash([2 * unit, 3 * unit])
      c.beginPath()
      c.moveTo(SIDE * unit, y(0))
      c.lineTo(width - SIDE * unit, y(0))
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
      curve(elevations, editor.theme.target, 1.2)
      curve(azimuths, editor.theme.path, 1.8)
      c.fillStyle = editor.theme.path
      c.textAlign = 'left'
      c.font = `${9.5 * unit}px Inter, system-ui, sans-serif`
      c.fillText(
        `angle ${azimuths[Math.min(state.frame, azimuths.length - 1)].toFixed(1)}°`,
        (SIDE + 2) * unit,
        top + 5 * unit
      )
      const wide = c.measureText('angle −000.0°  ').width
      c.fillStyle = editor.theme.target
      c.fillText(
        `height ${elevations[Math.min(state.frame, elevations.length - 1)].toFixed(1)}°`,
        (SIDE + 2) * unit + wide,
        top + 5 * unit
      )
    }

    // Keys: a preset shows its ends as hollow marks, since it has none of its own.
    const row = (RULER + KEY_ROW / 2) * unit
    c.fillStyle = line
    c.globalAlpha = 0.5
    c.fillRect(SIDE * unit, Math.round(row), width - 2 * SIDE * unit, Math.max(1, unit))
    c.globalAlpha = 1
    const diamond = (/** @type {number} */ frame, /** @type {number} */ size) => {
      const x = this.x(frame)
      const r = size * unit
      c.beginPath()
      c.moveTo(x, row - r)
      c.lineTo(x + r, row)
      c.lineTo(x, row + r)
      c.lineTo(x - r, row)
      c.closePath()
    }
    if (state.document.source) {
      for (const frame of [0, state.document.frames - 1]) {
        diamond(frame, 5)
        c.strokeStyle = editor.theme.path
        c.lineWidth = 1.3 * unit
        c.stroke()
      }
    } else {
      for (const key of state.document.keyframes) {
        const chosen = key.frame === state.selected
        diamond(key.frame, chosen || key.frame === this.hot ? 6.5 : 5.5)
        c.fillStyle = chosen ? text : editor.theme.path
        c.fill()
        if (key.ease !== 'linear') {
          c.fillStyle = editor.fieldColour
          c.beginPath()
          c.arc(this.x(key.frame), row, 1.7 * unit, 0, 2 * Math.PI)
          c.fill()
        }
      }
    }

    // Playhead.
    const x = Math.round(this.x(state.frame))
    c.fillStyle = text
    c.fillRect(x - Math.max(0.5, unit / 2), RULER * unit - 3 * unit, Math.max(1, unit), height)
    c.beginPath()
    c.moveTo(x - 5 * unit, RULER * unit - 10 * unit)
    c.lineTo(x + 5 * unit, RULER * unit - 10 * unit)
    c.lineTo(x, RULER * unit - 2 * unit)
    c.closePath()
    c.fill()
  }
}
