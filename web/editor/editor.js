/**
 * The editor: puts state, views, timeline, fields and scene together and draws them when they change. One per camera
 * node. Its parts know nothing of it; each is given what it uses.
 *
 * @import { Clip } from './clip.js'
 * @import { Redraw } from './drawLoop.js'
 * @import { Camera } from './math.js'
 * @import { PathDocument } from './pathDocument.js'
 * @import { FileReference } from './preview.js'
 * @import { Renderer } from './renderer.js'
 * @import { SceneFacts } from './state.js'
 * @import { Note } from './status.js'
 *
 * @typedef {object} Host what the editor needs of the node it lives in
 * @property {() => string} read the path widget's text
 * @property {(text: string) => void} write
 * @property {() => void} settled a gesture has ended
 * @property {(facts: SceneFacts | null) => PathDocument} fallback the path while the text is empty
 * @property {() => Note} note what the user should know about where the path comes from; empty = nothing
 * @property {() => string} lock why an edit would not count; empty = it does
 * @property {() => void} unlock makes edits count
 * @property {(visible: boolean) => void} seen the editor has come into view, or left it
 * @property {(reference: FileReference) => string} url where a preview file is served
 * @property {(name: string) => any} recall small view settings kept with the node
 * @property {(name: string, value: unknown) => void} remember
 */
import { Commands } from './commands.js'
import { DrawLoop } from './drawLoop.js'
import { Inspector, PathBar } from './fields.js'
import { Gesture } from './gesture.js'
import { Modes } from './modes.js'
import { Pace } from './pace.js'
import { Page } from './page.js'
import { Playback } from './playback.js'
import { acquireRenderer, releaseRenderer } from './renderer.js'
import { SceneLoader } from './sceneLoader.js'
import { SceneView } from './sceneView.js'
import { keyboardOf } from './shortcuts.js'
import { ShotView } from './shotView.js'
import { ShownScene } from './shownScene.js'
import { films, shadows } from './sparedPage.js'
import { EditorState } from './state.js'
import { Status } from './status.js'
import { installStyle } from './style.js'
import { Theme } from './theme.js'
import { Timeline } from './timeline.js'
import { Warnings } from './warnings.js'

/** Longest side of the views, in pixels, while slow. */
const COARSE_SIDE = 400
const NO_SCENE = 'No scene yet: connect a DW-Mesh and run the graph.'
/** Where the node keeps the modes. */
const VIEW_SETTINGS = 'ex4d_view'

export class Editor {
  /** @param {Host} host */
  constructor(host) {
    installStyle()
    this.host = host
    this.disposed = false
    /** Why there are no graphics; empty = there are. */
    this.trouble = ''
    this.renderer = this.acquireRenderer()
    this.loop = new DrawLoop((now) => this.frame(now))
    this.pace = new Pace(this.renderer?.software ?? true, (step) => this.setDetail(step))
    this.modes = new Modes()
    this.theme = new Theme()
    this.state = new EditorState({ write: (text) => host.write(text), lock: () => host.lock() })
    this.commands = new Commands(this.state)
    this.scene = new ShownScene(this.state)
    /** Whether holes were filled from memory when their shares were last marked to be measured. */
    this.filled = this.modes.memory

    const { state, scene, modes, pace, theme, commands, renderer } = this
    /** @type {Redraw} */
    const redraw = (part) => this.loop.redraw(part)
    const focus = () => this.page.focus()
    const pickPivot = (/** @type {Camera} */ camera, /** @type {number} */ x, /** @type {number} */ y) =>
      this.pickPivot(camera, x, y)
    this.gesture = new Gesture({ state, ended: () => this.gestureEnded() })
    this.warnings = new Warnings({ state, scene, renderer, modes, isBusy: () => this.busy, redraw })
    const { warnings } = this
    this.loader = new SceneLoader({
      url: (reference) => host.url(reference),
      scene,
      show: (clip) => this.adopt(clip),
      remembered: () => this.remembered(),
      warnings,
      renderer,
      redraw
    })
    this.playback = new Playback({ state, modes, focus, stopped: () => this.playbackStopped(), redraw })
    const { playback, loader } = this
    const note = () => this.sceneNote
    const shared = { state, scene, renderer, modes, pace, warnings, pickPivot, focus, redraw }
    this.sceneView = new SceneView({ ...shared, playback, note })
    this.shotView = new ShotView({ ...shared, commands })
    this.timeline = new Timeline({ state, commands, modes, pace, playback, warnings, theme, focus, redraw })
    this.inspector = new Inspector({ state, commands, modes, focus, bendsTime: () => this.timeline.timeRow.shown })
    this.pathBar = new PathBar({ state, commands, focus })
    this.status = new Status({
      state,
      scene,
      loader,
      modes,
      warnings,
      pathNote: () => host.note(),
      unlock: () => host.unlock()
    })
    const press = keyboardOf({
      state,
      commands,
      modes,
      playback,
      sceneView: this.sceneView,
      toggleHelp: () => this.page.toggleHelp(),
      toggleLarge: () => this.page.setLarge(!this.page.large),
      leave: () => this.leave(),
      redraw
    })
    this.page = new Page({
      state,
      commands,
      modes,
      gesture: this.gesture,
      software: pace.software,
      press,
      redraw,
      playButton: playback.button,
      views: [this.sceneView, this.shotView],
      pathBar: this.pathBar,
      below: [this.timeline, this.inspector, this.status]
    })
    this.element = this.page.element
    this.watchers = this.watch()
    this.recallSettings()
    this.page.showSettings()
    setTimeout(() => this.renderer?.warm())
    this.refresh()
    this.sceneView.home()
  }

  /** @returns {Renderer | null} null where the browser has no WebGL2; `trouble` says so */
  acquireRenderer() {
    try {
      return acquireRenderer()
    } catch (error) {
      this.trouble = `${/** @type {Error} */ (error).message} The path and its numbers can still be edited.`
      return null
    }
  }

  /** Draws again when something has changed that the picture depends on. @returns {(() => void)[]} what ends that */
  watch() {
    const { state, modes, renderer, warnings, loop } = this
    state.listeners.add((what) => {
      if (what !== 'frame') warnings.refresh()
      loop.redraw()
    })
    modes.listeners.add(() => {
      if (modes.memory !== this.filled) this.remembered()
      this.host.remember(VIEW_SETTINGS, modes.kept())
      this.shotView.showMode()
      this.page.showSettings()
    })
    const rendererChanged = () => {
      warnings.schedule()
      loop.redraw()
    }
    renderer?.listeners.add(rendererChanged)
    const size = new ResizeObserver(() => {
      this.page.arrange()
      loop.redraw()
    })
    size.observe(this.element)
    const visibility = new IntersectionObserver((entries) => {
      const visible = entries[entries.length - 1].isIntersecting
      loop.setVisible(visible)
      if (!visible) this.sparePage(false, false)
      this.host.seen(visible)
    })
    visibility.observe(this.element)
    // ComfyUI's theme is a set of properties of the page's root.
    const theme = new MutationObserver(() => loop.redraw())
    theme.observe(document.documentElement, { attributes: true, attributeFilter: ['style'] })
    return [
      () => renderer?.listeners.delete(rendererChanged),
      () => size.disconnect(),
      () => visibility.disconnect(),
      () => theme.disconnect()
    ]
  }

  // ---------------------------------------------------------------------------------------------------------- using it

  /** Takes the modes that the node has kept. */
  recallSettings() {
    this.modes.recall(this.host.recall(VIEW_SETTINGS) ?? {})
  }

  focus() {
    this.page.focus()
  }

  /** Esc: gives up the drag, else leaves what was entered last. */
  leave() {
    const { modes, page } = this
    if (this.gesture.cancel()) return
    if (page.help) page.toggleHelp()
    else if (modes.picking) modes.set({ picking: false })
    else if (modes.flying) modes.set({ flying: false })
    else if (this.playback.playing) this.playback.stop()
    else if (page.large) page.setLarge(false)
    else page.keys.blur()
  }

  /**
   * Makes the scene's point under a pixel of a view the pivot.
   * @param {Camera} camera
   * @param {number} x
   * @param {number} y
   */
  pickPivot(camera, x, y) {
    const point = this.scene.surfacePoint(camera, x, y)
    if (!point) return
    this.commands.setPivot(point)
    this.sceneView.active = 'pivot'
    this.modes.set({ picking: false })
  }

  gestureEnded() {
    films.ask(this, false)
    this.host.settled()
    this.redraw()
  }

  playbackStopped() {
    this.pace.touch()
    this.warnings.schedule()
  }

  // ------------------------------------------------------------------------------------------------ document and scene

  /** Reads the widget again: after loading, pasting, the graph's undo, or a change of the preset widgets. */
  refresh() {
    const text = this.host.read()
    if (text.trim() && text === this.state.text) return
    this.state.read(text, () => this.host.fallback(this.state.scene))
  }

  /** Shows a clip, from its first frame on. @param {Clip} clip */
  adopt(clip) {
    const { state, pace } = this
    const facts = this.scene.show(clip)
    this.warnings.forget()
    this.shotView.showMode()
    const first = !state.scene
    if (pace.software) {
      pace.touch()
      pace.setStep(2)
    }
    state.setScene(facts)
    if (!state.text.trim()) state.read('', () => this.host.fallback(facts))
    if (first) this.sceneView.home()
  }

  /** Other holes than before are filled from memory: their shares are measured anew. */
  remembered() {
    this.filled = this.modes.memory
    this.shotView.showMode()
    if (!this.clip) return
    this.warnings.forget()
    this.warnings.refresh()
    this.redraw()
  }

  /** The clip that is shown. */
  get clip() {
    return this.scene.clip
  }

  /** Why there is no scene; empty = there is one. @returns {string} */
  get sceneNote() {
    if (this.trouble) return this.trouble
    if (this.renderer?.lost) return 'The graphics driver has reset; the picture returns when it is back.'
    if (this.clip) return ''
    return this.loader.note || NO_SCENE
  }

  // ----------------------------------------------------------------------------------------------------------- drawing

  /** Whether work that nobody waits for would be in the way. @returns {boolean} */
  get busy() {
    return (
      this.loader.arriving ||
      this.playback.playing ||
      this.state.held ||
      !this.pace.resting ||
      !this.element.clientWidth
    )
  }

  /** @type {Redraw} */
  redraw(part) {
    this.loop.redraw(part)
  }

  /** One frame of the page. @param {number} now */
  frame(now) {
    const { pace, playback, modes, loop } = this
    const dragging = this.state.held && pace.lastTouch >= this.gesture.since
    const moving = playback.playing || dragging || !pace.resting
    if (playback.playing) playback.advance(now)
    if (modes.flying && modes.flyKeys.size)
      this.shotView.fly(modes.flyKeys, Math.min(0.1, (now - pace.lastDraw) / 1000 || 0.016))
    this.sparePage(moving || this.loader.arriving, dragging)
    pace.adapt(now, moving)
    const late = pace.defers(now, moving)
    if (loop.numbersDirty && !late) {
      loop.numbersDirty = false
      for (const part of [this.pathBar, this.inspector, this.status, this.page]) part.refresh()
    }
    this.theme.read(this.element)
    const begin = performance.now()
    this.drawParts(dragging, late)
    if (this.clip) pace.took(performance.now() - begin)
    if (!late) pace.lastFields = now
    pace.lastDraw = now
    const flies = modes.flying && modes.flyKeys.size > 0
    const spares = moving && pace.software
    if (playback.playing || spares || pace.step > 1 || loop.dirty.size || flies)
      this.redraw(playback.playing || modes.flying ? undefined : 'time')
  }

  /**
   * Where the processor draws all, has the page leave out what the editor can do without, or put it back.
   * @param {boolean} busy something moves or arrives
   * @param {boolean} dragging
   */
  sparePage(busy, dragging) {
    shadows.ask(this, busy && this.pace.software)
    films.ask(this, dragging && this.pace.software)
  }

  /** @param {boolean} dragging @param {boolean} late the timeline may wait */
  drawParts(dragging, late) {
    const { loop, timeline, gesture } = this
    // On a slow machine the view beside the dragged one follows every second frame.
    const slow = this.pace.step > 1 && dragging
    const parts = loop.take(slow && gesture.view ? (gesture.view === 'shot' ? 'scene' : 'shot') : null)
    if (parts.has('scene')) this.drawPart(this.sceneView)
    if (parts.has('shot')) this.drawPart(this.shotView)
    if (!parts.has('time')) return
    if (late && timeline.shown === this.state.frame) loop.dirty.add('time')
    else this.drawPart(timeline)
  }

  /** Draws one part; one that fails leaves the others, and what follows of the frame, as they are. @param {{draw: () => void}} part */
  drawPart(part) {
    try {
      part.draw()
    } catch (error) {
      console.error('EX-4D: a part of the camera editor was not drawn.', error)
    }
  }

  /** @param {number} step of the grid */
  setDetail(step) {
    for (const { surface } of [this.sceneView, this.shotView]) surface.limit = step > 1 ? COARSE_SIDE : Infinity
    this.loop.dirty.add('scene').add('shot')
  }

  /**
   * The shot as pixels, for tests and comparisons with the renderer.
   * @param {number} width
   * @param {number} height
   * @param {'colour' | 'mask'} mode
   * @returns {Uint8Array | null} RGBA, top row first
   */
  shotPixels(width, height, mode) {
    const { memory } = this.modes
    const camera = this.shotView.cameraAt(width, height)
    const { clip, index } = this.scene
    if (!camera || !this.renderer || !clip) return null
    return this.renderer.read({ clip, index, camera: this.scene.meshCamera(camera), width, height, mode, memory })
  }

  dispose() {
    if (this.disposed) return
    this.gesture.end()
    this.disposed = true
    this.loop.stop()
    this.loader.dispose()
    this.warnings.dispose()
    this.sparePage(false, false)
    for (const end of this.watchers) end()
    this.scene.dispose()
    if (this.renderer) releaseRenderer()
    this.renderer = null
    this.page.dispose()
  }
}
