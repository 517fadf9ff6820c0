/**
 * Playing the path.
 *
 * @import { Redraw } from './drawLoop.js'
 * @import { Modes } from './modes.js'
 * @import { EditorState } from './state.js'
 *
 * @typedef {object} PlaybackOptions
 * @property {EditorState} state
 * @property {Modes} modes
 * @property {() => void} focus gives the editor the keys
 * @property {() => void} stopped called when playing has ended
 * @property {Redraw} redraw
 */
import { button } from './dom.js'

/** After a longer gap (milliseconds) than this, as in a hidden page, playing goes on from where it was seen last. */
const GAP = 1000

export class Playback {
  /** @param {PlaybackOptions} options */
  constructor({ state, modes, focus, stopped, redraw }) {
    this.state = state
    this.modes = modes
    this.stopped = stopped
    this.redraw = redraw
    this.playing = false
    /** When playing began, and at which frame. */
    this.start = { time: 0, frame: 0 }
    this.last = 0
    this.button = button('play', 'Play (Space)', () => {
      this.toggle()
      focus()
    })
  }

  toggle() {
    this.playing ? this.stop() : this.play()
  }

  play() {
    const { state } = this
    if (state.document.frames < 2) return
    if (!this.modes.loop && state.frame === state.document.frames - 1) state.goTo(0)
    this.playing = true
    this.begin(performance.now())
    this.show()
  }

  stop() {
    if (!this.playing) return
    this.playing = false
    this.show()
    this.stopped()
  }

  /** Counts time from now and from the frame that is shown. @param {number} now */
  begin(now) {
    this.start = { time: now, frame: this.state.frame }
    this.last = now
  }

  show() {
    const fresh = button(this.playing ? 'pause' : 'play', this.playing ? 'Pause (Space)' : 'Play (Space)', () => {})
    this.button.replaceChildren(...fresh.childNodes)
    this.button.title = fresh.title
    this.redraw()
  }

  /** @param {number} now */
  advance(now) {
    const { state } = this
    const count = state.document.frames
    if (now - this.last > GAP) this.begin(now)
    this.last = now
    const frame = this.start.frame + Math.floor((Math.max(0, now - this.start.time) / 1000) * state.document.fps)
    if (frame >= count && !this.modes.loop) {
      state.goTo(count - 1)
      this.stop()
    } else state.goTo(frame % count)
  }
}
