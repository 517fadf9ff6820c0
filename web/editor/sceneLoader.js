/**
 * Loads the scene that a run has published, first picture first.
 *
 * @import { Redraw } from './drawLoop.js'
 * @import { FileReference } from './preview.js'
 * @import { Renderer } from './renderer.js'
 * @import { ShownScene } from './shownScene.js'
 * @import { Warnings } from './warnings.js'
 *
 * @typedef {object} SceneLoaderOptions
 * @property {(reference: FileReference) => string} url where a preview file is served
 * @property {ShownScene} scene
 * @property {(clip: Clip) => void} show called when a clip's first frame is there
 * @property {() => void} remembered called when the memory of the clip is there, or is gone
 * @property {Warnings} warnings
 * @property {Renderer | null} renderer
 * @property {Redraw} redraw
 */
import { Clip } from './clip.js'
import { isReference, loadPreview } from './preview.js'
import { belongsTo, loadMemory, sceneOf } from './sceneMemory.js'

export class SceneLoader {
  /** @param {SceneLoaderOptions} options */
  constructor({ url, scene, show, remembered, warnings, renderer, redraw }) {
    this.url = url
    this.scene = scene
    this.show = show
    this.remembered = remembered
    this.warnings = warnings
    this.renderer = renderer
    this.redraw = redraw
    /** What the user should know; empty = nothing. */
    this.note = ''
    /** A clip is on its way. */
    this.arriving = false
    /** File that the clip was read from to its end. */
    this.shown = ''
    /** The memories that were offered, by what the names of their scenes begin with. @type {Map<string, FileReference>} */
    this.offered = new Map()
    /** File that the clip's memory was read from. */
    this.recalled = ''
    /** @type {AbortController | undefined} */
    this.loading = undefined
  }

  /** @param {unknown} reference */
  async load(reference) {
    const { scene, warnings } = this
    // The name is a hash of the content: a run that leaves the mesh as it was leaves the picture too.
    if (isReference(reference) && scene.clip && reference.filename === this.shown) return
    this.loading?.abort()
    if (!isReference(reference)) return
    this.shown = this.recalled = ''
    const loading = (this.loading = new AbortController())
    /** @type {Clip | null} */
    let next = null
    this.note = 'Loading the scene…'
    this.arriving = true
    this.redraw()
    try {
      await loadPreview(
        this.url(reference),
        {
          header: (header) => {
            next = new Clip(header)
          },
          frame: async (frame) => {
            const clip = /** @type {Clip} */ (next)
            clip.receive(frame)
            if (frame.index === 0) {
              this.show(clip)
              await this.pictured()
            } else if (scene.index === frame.index) this.redraw()
            warnings.refreshInside()
          }
        },
        loading.signal
      )
      this.note = ''
      this.arriving = false
      this.shown = reference.filename
      warnings.refresh()
      void this.remember(this.offered.get(sceneOf(this.shown)))
    } catch (error) {
      if (loading.signal.aborted) {
        if (next && next !== scene.clip) /** @type {Clip} */ (next).dispose()
        return
      }
      this.arriving = false
      this.note =
        error instanceof TypeError
          ? 'The preview could not be loaded: the server does not answer. Run the camera node again.'
          : /** @type {Error} */ (error).message
    }
    this.redraw()
  }

  /** Takes the memory of the clip that is shown, once that has arrived whole. @param {unknown} reference of any scene's */
  async remember(reference) {
    const { clip } = this.scene
    if (!isReference(reference)) return
    const { filename } = reference
    this.offered.set(sceneOf(filename), reference)
    if (!clip || !this.shown || filename === this.recalled || !belongsTo(filename, this.shown)) return
    this.recalled = filename
    const signal = this.loading?.signal
    try {
      const memory = await loadMemory(this.url(reference), clip, signal)
      if (clip !== this.scene.clip || this.recalled !== filename) return
      clip.memory = memory
      this.remembered()
    } catch (error) {
      if (signal?.aborted) return
      if (this.recalled === filename) this.recalled = ''
      console.warn('EX-4D: the memory of the scene is not shown.', error)
    }
  }

  /** Lets go of a memory that is offered no more. @param {FileReference} reference */
  forgetMemory({ filename }) {
    const { clip } = this.scene
    if (this.offered.get(sceneOf(filename))?.filename === filename) this.offered.delete(sceneOf(filename))
    if (this.recalled !== filename) return
    this.recalled = ''
    if (!clip?.memory) return
    clip.memory = null
    this.remembered()
  }

  /** Until the first picture stands: the work of unpacking the other frames would delay it. */
  async pictured() {
    await nextFrame()
    await this.renderer?.finished()
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
