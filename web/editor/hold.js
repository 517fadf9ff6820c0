// @ts-check
/** A pointer that is down in the editor: until it is up, lost or cancelled, all changes are one undo step. */
import { endDrag } from './dom.js'

/** @typedef {import('./editor.js').Editor} Editor */

export class Hold {
  /** @param {Editor} editor */
  constructor(editor) {
    this.editor = editor
    /** View that the pointer drags in. @type {'scene' | 'shot' | null} */
    this.view = null
    this.since = 0
    /** Undo steps there were before. */
    this.undoable = 0
    /** Listeners to its end. @type {AbortController | null} */
    this.ends = null
  }

  /** @param {Element} target where the pointer went down */
  begin(target) {
    this.end()
    const { state } = this.editor
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
    this.editor.state.held = false
    this.editor.host.settled?.()
    this.editor.redraw()
  }

  /** Gives a drag up and takes back what it did. @returns {boolean} whether there was one */
  cancel() {
    if (!this.ends) return false
    const { state } = this.editor
    const changed = state.past.length > this.undoable
    endDrag()
    this.end()
    if (changed) state.undo()
    return true
  }
}
