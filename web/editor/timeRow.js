/**
 * The timeline's row of time: which frame of the clip each frame of the path shows, as a curve; its keys are dragged up and
 * down. Shown where a path bends time, and on request.
 *
 * @import { Commands } from './commands.js'
 * @import { Modes } from './modes.js'
 * @import { Pace } from './pace.js'
 * @import { EditorState } from './state.js'
 * @import { Theme } from './theme.js'
 * @import { Moment } from './time.js'
 *
 * @typedef {object} Strip the row's place on the canvas, in its pixels
 * @property {CanvasRenderingContext2D} context
 * @property {number} unit canvas pixels per CSS pixel
 * @property {number} top
 * @property {number} bottom
 * @property {number} left
 * @property {number} right
 * @property {(frame: number) => number} x
 *
 * @typedef {{state: EditorState, commands: Commands, modes: Modes, pace: Pace, theme: Theme}} TimeRowOptions
 */
import { keyAt } from './edits.js'
import { COLOURS } from './theme.js'
import { momentsAlong, setsTheTime, sourceTimes } from './time.js'
import { withTime } from './timeEdits.js'
import { word } from './words.js'

/** Height in CSS pixels, and of what a pointer takes for a key. */
export const ROW = 46
const [MARGIN, REACH] = [7, 8]
const FONT = 'Inter, system-ui, sans-serif'
/** Speeds that differ by less than this from the clip's own need no word. */
const SAME = 0.02

export class TimeRow {
  /** @param {TimeRowOptions} options */
  constructor({ state, commands, modes, pace, theme }) {
    this.state = state
    this.commands = commands
    this.modes = modes
    this.pace = pace
    this.theme = theme
    /** Frame of the key under the pointer. @type {number | null} */
    this.hot = null
  }

  get shown() {
    return this.modes.timing || setsTheTime(this.state.document)
  }

  /** Times at every frame of the path. */
  get times() {
    const { document, clipFrames } = this.state
    return sourceTimes(
      document,
      clipFrames,
      Array.from({ length: document.frames }, (_, i) => i)
    )
  }

  /** The last moment that the row reaches. @param {number[]} [times] */
  high(times = this.times) {
    return Math.max(1, this.state.clipFrames - 1, ...times)
  }

  /** @param {Strip} strip @param {number} time @param {number} high */
  y({ top, bottom, unit }, time, high) {
    return bottom - MARGIN * unit - (time / high) * (bottom - top - 2 * MARGIN * unit)
  }

  /** Frame of the key whose mark in the row is at a place. @param {Strip} strip @param {{x: number, y: number}} at */
  keyUnder(strip, { x, y }) {
    const { document } = this.state
    if (document.source || y < strip.top || y > strip.bottom) return null
    const { times } = this
    const high = this.high(times)
    /** @type {number | null} */
    let best = null
    let nearest = REACH * strip.unit
    for (const { frame } of document.keyframes) {
      const away = Math.hypot(strip.x(frame) - x, this.y(strip, times[frame], high) - y)
      if (away < nearest) [best, nearest] = [frame, away]
    }
    return best
  }

  /**
   * A drag of a key's time, to whole frames of the clip; with Alt to any.
   * @param {number} frame the key's @param {Strip} strip @param {(event: PointerEvent) => number} height of the pointer
   */
  drag(frame, strip, height) {
    const { state } = this
    const high = this.high()
    const end = state.clipFrames - 1
    const span = strip.bottom - strip.top - 2 * MARGIN * strip.unit
    return {
      move: (/** @type {PointerEvent} */ event) => {
        const time = Math.min(end, Math.max(0, ((strip.bottom - MARGIN * strip.unit - height(event)) / span) * high))
        const wanted = event.altKey ? time : Math.round(time)
        if (keyAt(state.document, frame)?.time === wanted) return
        state.edit(`time ${frame}`, (document, path) => withTime(document, path, frame, wanted))
        this.pace.touch()
      },
      end: () => state.settle()
    }
  }

  // ----------------------------------------------------------------------------------------------------------- drawing

  /** @param {Strip} strip */
  draw(strip) {
    const { context: c, unit, top, bottom, left, right } = strip
    const { theme, state, times } = this
    const high = this.high(times)
    c.fillStyle = theme.line
    c.globalAlpha = 0.16
    c.fillRect(left, top, right - left, bottom - top)
    c.globalAlpha = 1
    this.drawCurve(strip, times, high)
    this.drawWords(strip, high)
    if (!state.document.source) this.drawMarks(strip, times, high)
    c.font = `${9.5 * unit}px ${FONT}`
    c.textAlign = 'left'
    c.textBaseline = 'middle'
    c.fillStyle = theme.faint
    const now = Math.min(state.frame, times.length - 1)
    c.fillText(word(`clip ${Math.floor(times[now] + 0.5)}`), left + 2 * unit, top + 6 * unit)
  }

  /** The curve; what lies beyond the clip in red. @param {Strip} strip @param {number[]} times @param {number} high */
  drawCurve(strip, times, high) {
    const { context: c, unit } = strip
    const end = this.state.clipFrames - 1
    c.lineJoin = 'round'
    c.lineWidth = 1.6 * unit
    for (const [colour, wanted] of /** @type {[string, boolean][]} */ ([
      [COLOURS.source, false],
      [COLOURS.hole, true]
    ])) {
      c.strokeStyle = colour
      c.beginPath()
      for (let i = 0; i + 1 < times.length; i++) {
        if (Math.max(times[i], times[i + 1]) > end + 1e-9 !== wanted) continue
        c.moveTo(strip.x(i), this.y(strip, times[i], high))
        c.lineTo(strip.x(i + 1), this.y(strip, times[i + 1], high))
      }
      c.stroke()
    }
  }

  /** Marks of the keys: full where they say a time, else as small rings on the curve. @param {Strip} strip @param {number[]} times @param {number} high */
  drawMarks(strip, times, high) {
    const { context: c, unit } = strip
    const { theme, state } = this
    for (const { frame, time, time_ease: ease } of state.document.keyframes) {
      const chosen = frame === state.selected
      const size = time === undefined ? 2.4 : chosen || frame === this.hot ? 5 : 4
      c.beginPath()
      c.arc(strip.x(frame), this.y(strip, times[frame], high), size * unit, 0, 2 * Math.PI)
      c.fillStyle = time === undefined ? theme.field : chosen ? theme.text : theme.path
      c.fill()
      c.strokeStyle = theme.path
      c.lineWidth = unit
      if (time === undefined || frame === this.hot) c.stroke()
      if (!ease) continue
      c.fillStyle = theme.field
      c.beginPath()
      c.arc(strip.x(frame), this.y(strip, times[frame], high), 1.5 * unit, 0, 2 * Math.PI)
      c.fill()
    }
  }

  /** A word for each stretch that does not run as filmed, where there is room. @param {Strip} strip @param {number} high */
  drawWords(strip, high) {
    const { context: c, unit, left, right } = strip
    const { document, clipFrames } = this.state
    const moments = document.source && document.loop ? [] : momentsAlong(document, clipFrames)
    c.font = `${9.5 * unit}px ${FONT}`
    c.textAlign = 'center'
    c.textBaseline = 'middle'
    c.fillStyle = this.theme.text
    for (let i = 0; i + 1 < moments.length; i++) {
      const [from, to] = [moments[i], moments[i + 1]]
      const said = paceWord(from, to)
      const [a, b] = [Math.max(left, strip.x(from.frame)), Math.min(right, strip.x(to.frame))]
      if (!said || c.measureText(said).width > b - a - 6 * unit) continue
      const middle = this.y(strip, (from.time + to.time) / 2, high)
      const below = middle < (strip.top + strip.bottom) / 2
      c.fillText(said, (a + b) / 2, middle + (below ? 9 : -9) * unit)
    }
  }
}

/** How time runs between two moments; empty = as filmed. @param {Moment} from @param {Moment} to */
export function paceWord(from, to) {
  const rate = (to.time - from.time) / (to.frame - from.frame)
  const times = `×${Number(Math.abs(rate).toFixed(2))}`
  if (Math.abs(rate) < SAME) return word('hold')
  if (rate < 0) return rate < SAME - 1 && rate > -1 - SAME ? word('reverse') : `${word('reverse')} ${times}`
  return Math.abs(rate - 1) < SAME ? '' : times
}
