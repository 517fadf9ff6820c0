/**
 * When what is drawn: what has changed, once a frame of the page, and nothing where nobody sees it.
 *
 * @typedef {'scene' | 'shot' | 'time'} Part
 * @typedef {(part?: Part) => void} Redraw asks for one part, or for all of them and the numbers
 */

/** @type {readonly Part[]} */
const PARTS = ['scene', 'shot', 'time']

export class DrawLoop {
  /** @param {(now: number) => void} draw */
  constructor(draw) {
    this.draw = draw
    /** @type {Set<Part>} */
    this.dirty = new Set()
    /** Whether the numbers and buttons are to follow. */
    this.numbersDirty = false
    /** Whether a part was left out of the last frame. */
    this.skipped = false
    /** False in a collapsed node or outside the window: nothing is drawn there. */
    this.visible = true
    this.stopped = false
    /** The frame that the browser was asked for. @type {number | undefined} */
    this.request = undefined
  }

  /** @param {Part} [part] all parts and the numbers without it */
  redraw(part) {
    if (this.stopped) return
    if (part) this.dirty.add(part)
    else {
      for (const each of PARTS) this.dirty.add(each)
      this.numbersDirty = true
    }
    if (!this.visible) return
    this.request ??= requestAnimationFrame((now) => {
      this.request = undefined
      if (!this.stopped) this.draw(now)
    })
  }

  /** @param {boolean} visible */
  setVisible(visible) {
    this.visible = visible
    if (visible) this.redraw()
  }

  /** The parts to draw now. @param {Part | null} spared is drawn every second time only @returns {Set<Part>} */
  take(spared) {
    this.skipped = !!spared && this.dirty.has(spared) && !this.skipped
    const parts = new Set(this.dirty)
    this.dirty.clear()
    if (spared && this.skipped) {
      parts.delete(spared)
      this.dirty.add(spared)
    }
    return parts
  }

  stop() {
    this.stopped = true
    if (this.request) cancelAnimationFrame(this.request)
  }
}
