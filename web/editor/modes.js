/**
 * How the editor is being used: what the views show, what a drag means. Whoever cares listens.
 *
 * @typedef {'both' | 'swapped' | 'scene' | 'shot'} Layout
 * @typedef {'colour' | 'mask' | 'checker'} ShotMode
 *
 * @typedef {object} KeptModes what is kept with the node
 * @property {Layout} layout
 * @property {ShotMode} mode what the shot view shows
 * @property {boolean} loop
 * @property {boolean} snapping
 * @property {boolean} timing whether the row of time is shown, also where nothing bends it
 * @property {boolean} points whether the views show the mesh's vertices as points in place of its faces
 * @property {boolean} memory whether the shot view fills holes from the clip's memory, where there is one
 * @property {string} filmBack that millimetres of the lens are meant for
 * @property {number} holeLimit more holes than this share of a frame are warned about
 *
 * @typedef {object} PassingModes what ends with the page
 * @property {boolean} picking the next click chooses the pivot
 * @property {boolean} flying
 *
 * @typedef {KeptModes & PassingModes} ModeValues
 */

import { FILM_BACKS, FULL_FRAME } from './filmBacks.js'

/** @type {readonly Layout[]} */
const LAYOUTS = ['both', 'swapped', 'scene', 'shot']
/** @type {readonly ShotMode[]} */
const SHOT_MODES = ['colour', 'mask', 'checker']

export class Modes {
  constructor() {
    /** @type {Layout} */
    this.layout = 'both'
    /** @type {ShotMode} */
    this.mode = 'checker'
    this.loop = true
    this.snapping = false
    this.timing = false
    this.points = false
    this.memory = true
    this.filmBack = FULL_FRAME
    this.holeLimit = 0.75
    this.picking = false
    this.flying = false
    /** Codes of the keys that are held down to fly. @type {Set<string>} */
    this.flyKeys = new Set()
    /** Called after a change. @type {Set<() => void>} */
    this.listeners = new Set()
  }

  /** @param {Partial<ModeValues>} change */
  set(change) {
    const names = /** @type {(keyof ModeValues)[]} */ (Object.keys(change))
    if (names.every((name) => this[name] === change[name])) return
    Object.assign(this, change)
    if (!this.flying) this.flyKeys.clear()
    for (const listener of this.listeners) listener()
  }

  /** @param {'loop' | 'snapping' | 'timing' | 'points' | 'memory' | 'picking' | 'flying'} name */
  toggle(name) {
    this.set({ [name]: !this[name] })
  }

  nextLayout() {
    this.set({ layout: LAYOUTS[(LAYOUTS.indexOf(this.layout) + 1) % LAYOUTS.length] })
  }

  /** @returns {KeptModes} */
  kept() {
    const { layout, mode, loop, snapping, timing, points, memory, filmBack, holeLimit } = this
    return { layout, mode, loop, snapping, timing, points, memory, filmBack, holeLimit }
  }

  /** Takes what was kept, as far as it makes sense; the rest stays as it is. @param {Partial<KeptModes>} kept */
  recall(kept) {
    /** @type {Partial<KeptModes>} */
    const change = {}
    if (kept.layout && LAYOUTS.includes(kept.layout)) change.layout = kept.layout
    if (kept.mode && SHOT_MODES.includes(kept.mode)) change.mode = kept.mode
    if (typeof kept.loop === 'boolean') change.loop = kept.loop
    if (typeof kept.snapping === 'boolean') change.snapping = kept.snapping
    if (typeof kept.timing === 'boolean') change.timing = kept.timing
    if (typeof kept.points === 'boolean') change.points = kept.points
    if (typeof kept.memory === 'boolean') change.memory = kept.memory
    if (kept.filmBack && Object.hasOwn(FILM_BACKS, kept.filmBack)) change.filmBack = kept.filmBack
    if (kept.holeLimit && kept.holeLimit > 0 && kept.holeLimit <= 1) change.holeLimit = kept.holeLimit
    this.set(change)
  }
}
