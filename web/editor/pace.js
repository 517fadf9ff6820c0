/**
 * Keeps the picture fluid: coarser while something moves on a machine that is too slow for it, in full again at rest.
 */

/** A frame that takes longer than this (milliseconds) while something moves coarsens the picture. */
const SLOW = 40
/** So long after the last movement the picture is drawn in full again. */
const REST = 220
/** Between looks at numbers and timeline while behind. */
const SELDOM = 200
/** Frame times that are looked back at. */
const REMEMBERED = 120

/** How pictures keep up while something moves: by what the machine does, always in full, or always coarser. */
export const AUTOMATIC = 'automatic'
const FINE = 'fine'
const FAST = 'fast'
export const PACES = [AUTOMATIC, FINE, FAST]
let preferred = AUTOMATIC

/** Chooses one of `PACES` for all editors of the page. @param {string} pace */
export function preferPace(pace) {
  preferred = PACES.includes(pace) ? pace : AUTOMATIC
}

export class Pace {
  /** @param {boolean} software graphics emulated by the processor @param {(step: number) => void} changed */
  constructor(software, changed) {
    this.software = software
    this.changed = changed
    /** Every how many rows and columns of the preview are drawn. */
    this.step = 1
    /** Whether a picture in full took too long before, on emulated graphics. */
    this.wasSlow = false
    this.lastTouch = -Infinity
    this.lastDraw = 0
    this.lastFields = 0
    /** Times between frames drawn while something moves, for tests too. @type {number[]} */
    this.intervals = []
  }

  /** Something has moved. */
  touch() {
    this.lastTouch = performance.now()
  }

  /** Whether nothing has moved for a while. */
  get resting() {
    return performance.now() - this.lastTouch >= REST
  }

  /** Coarsens or restores the picture. @param {number} now @param {boolean} moving */
  adapt(now, moving) {
    if (preferred !== AUTOMATIC) {
      const step = moving && preferred === FAST ? 2 : 1
      if (step !== this.step) this.setStep(step)
      return
    }
    const interval = now - this.lastDraw
    // Emulated graphics that were too slow once will be again: the next movement starts as the last one ended.
    if (moving && this.software && this.wasSlow && this.step === 1) this.setStep(2)
    if (moving && interval > 0 && interval < 3000) {
      this.intervals.push(interval)
      if (this.intervals.length > REMEMBERED) this.intervals.shift()
      const recent = this.intervals.slice(-3)
      if (this.step === 1 && recent.length === 3 && recent.every((v) => v > SLOW)) {
        this.wasSlow = true
        this.setStep(2)
      }
    } else if (!moving && this.step > 1) this.setStep(1)
  }

  /**
   * A picture in full was drawn. Emulated graphics have drawn it by then: where it took too long at rest, the first
   * movement need not find that out.
   * @param {number} milliseconds
   */
  took(milliseconds) {
    if (this.software && this.step === 1 && milliseconds > SLOW) this.wasSlow = true
  }

  /** @param {number} step */
  setStep(step) {
    this.step = step
    this.intervals = []
    this.changed(step)
  }

  /**
   * Whether numbers and timeline wait for a later frame: they cost a slow machine more than the picture, so while it is
   * behind they follow a few times a second.
   * @param {number} now
   * @param {boolean} moving
   */
  defers(now, moving) {
    return this.step > 1 && moving && now - this.lastFields < SELDOM
  }
}
