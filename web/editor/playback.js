// @ts-check
/** Playing the path. */
import { button } from './dom.js'

/** @typedef {import('./editor.js').Editor} Editor */

/** After a longer gap (milliseconds) than this, as in a hidden page, playing goes on from where it was seen last. */
const GAP = 1000

export class Playback {
  /** @param {Editor} editor */
  constructor(editor) {
    this.editor = editor
    this.playing = false
    this.loop = true
    /** When playing began, and at which frame. */
    this.start = { time: 0, frame: 0 }
    this.last = 0
    this.button = button('play', 'Play (Space)', () => {
      this.toggle()
      editor.focus()
    })
  }

  toggle() {
    this.playing ? this.stop() : this.play()
  }

  play() {
    const { state } = this.editor
    if (state.document.frames < 2) return
    if (!this.loop && state.frame === state.document.frames - 1) state.goTo(0)
    this.playing = true
    this.begin(performance.now())
    this.show()
  }

  stop() {
    if (!this.playing) return
    this.playing = false
    this.editor.touch()
    this.show()
    this.editor.warnings.schedule()
  }

  /** Counts time from now and from the frame that is shown. @param {number} now */
  begin(now) {
    this.start = { time: now, frame: this.editor.state.frame }
    this.last = now
  }

  show() {
    const fresh = button(this.playing ? 'pause' : 'play', this.playing ? 'Pause (Space)' : 'Play (Space)', () => {})
    this.button.replaceChildren(...fresh.childNodes)
    this.button.title = fresh.title
    this.editor.redraw()
  }

  /** @param {number} now */
  advance(now) {
    const { state } = this.editor
    const count = state.document.frames
    if (now - this.last > GAP) this.begin(now)
    this.last = now
    const frame = this.start.frame + Math.floor((Math.max(0, now - this.start.time) / 1000) * state.document.fps)
    if (frame >= count && !this.loop) {
      state.goTo(count - 1)
      this.stop()
    } else state.goTo(frame % count)
  }
}
