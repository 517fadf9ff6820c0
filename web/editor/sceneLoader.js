// @ts-check
/** Loads the scene that a run has published, first picture first. */
import { Clip } from './clip.js'
import { isReference, loadPreview } from './preview.js'

/** @typedef {import('./editor.js').Editor} Editor */

export class SceneLoader {
  /** @param {Editor} editor */
  constructor(editor) {
    this.editor = editor
    /** What the user should know; empty = nothing. */
    this.note = ''
    /** A clip is on its way. */
    this.arriving = false
    /** File that the clip was read from to its end. */
    this.shown = ''
    /** @type {AbortController | undefined} */
    this.loading = undefined
  }

  /** @param {unknown} reference */
  async load(reference) {
    const { editor } = this
    // The name is a hash of the content: a run that leaves the mesh as it was leaves the picture too.
    if (isReference(reference) && editor.clip && reference.filename === this.shown) return
    this.loading?.abort()
    if (!isReference(reference)) return
    this.shown = ''
    const loading = (this.loading = new AbortController())
    /** @type {Clip | null} */
    let next = null
    this.note = 'Loading the scene…'
    this.arriving = true
    editor.redraw()
    try {
      await loadPreview(
        editor.host.url(reference),
        {
          header: (header) => {
            next = new Clip(header)
          },
          frame: async (frame) => {
            const clip = /** @type {Clip} */ (next)
            clip.receive(frame)
            if (frame.index === 0) {
              editor.adopt(clip)
              await this.pictured()
            } else if (editor.clipIndex === frame.index) editor.redraw()
            editor.warnings.refreshInside()
          }
        },
        loading.signal
      )
      this.note = ''
      this.arriving = false
      this.shown = reference.filename
      editor.warnings.refresh()
    } catch (error) {
      if (loading.signal.aborted) {
        if (next && next !== editor.clip) /** @type {Clip} */ (next).dispose()
        return
      }
      this.arriving = false
      this.note =
        error instanceof TypeError
          ? 'The preview could not be loaded: the server does not answer. Run the camera node again.'
          : /** @type {Error} */ (error).message
    }
    editor.redraw()
  }

  /** Until the first picture stands: the work of unpacking the other frames would delay it. */
  async pictured() {
    await nextFrame()
    await this.editor.renderer?.finished()
    await nextFrame()
  }

  dispose() {
    this.loading?.abort()
  }
}

/** Until the page is drawn; a hidden page never is. @returns {Promise<unknown>} */
const nextFrame = () =>
  Promise.race([
    new Promise((done) => requestAnimationFrame(() => setTimeout(done))),
    new Promise((done) => setTimeout(done, 300))
  ])
