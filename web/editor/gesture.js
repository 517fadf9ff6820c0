/**
 * A pointer that is down in the editor: until it is up, lost or cancelled, all changes are one undo step.
 *
 * @import { EditorState } from './state.js'
 *
 * @typedef {object} GestureOptions
 * @property {EditorState} state
 * @property {() => void} ended called when the pointer is gone
 */
import { endDrag } from './dom.js'

export class Gesture {
  /** @param {GestureOptions} options */
  constructor({ state, ended }) {
    this.state = state
    this.ended = ended
    /** View that the pointer drags in. @type {'scene' | 'shot' | null} */
    this.view = null
    this.since = 0
    /** Undo steps there were before. */
    this.undoable = 0
    /** Listeners to its end; null while there is no gesture. @type {AbortController | null} */
    this.ends = null
  }

  /** @param {Element} target where the pointer went down */
  begin(target) {
    this.end()
    const { state } = this
    state.held = true
    this.view = target.closest('.ex4d-scene') ? 'scene' : target.closest('.ex4d-shot') ? 'shot' : null
    this.since = performance.now()
    this.undoable = state.past.length
    const ends = (this.ends = new AbortController())
    const options = { capture: true, signal: ends.signal }
    for (const name of ['pointerup', 'pointercancel', 'lostpointercapture'])
      window.addEventListener(name, () => this.end(), options)
    window.addEventListener('blur', (event) => event.target === window && this.end(), options)
    // A page that is hidden hears of no pointer any more.
    document.addEventListener(
      'visibilitychange',
      () => {
        endDrag()
        this.end()
      },
      options
    )
  }

  end() {
    if (!this.ends) return
    this.ends.abort()
    this.ends = null
    this.view = null
    this.state.held = false
    this.ended()
  }

  /** Gives a drag up and takes back what it did. @returns {boolean} whether there was one */
  cancel() {
    if (!this.ends) return false
    const { state } = this
    const changed = state.past.length > this.undoable
    endDrag()
    this.end()
    if (changed) state.undo()
    return true
  }
}
