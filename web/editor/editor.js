// @ts-check
/**
 * The editor: puts state, views, timeline, fields and scene together and draws them when they change. One per camera node.
 *
 * @typedef {import('./math.js').Vec3} Vec3
 * @typedef {import('./math.js').Camera} Camera
 * @typedef {import('./preview.js').FileReference} FileReference
 * @import { PathDocument } from './pathDocument.js'
 * @typedef {'both' | 'swapped' | 'scene' | 'shot'} Layout
 * @typedef {object} Host what the editor needs of the node it lives in
 * @property {() => string} read the path widget's text
 * @property {(text: string) => void} write
 * @property {() => void} [settled] a gesture has ended
 * @property {(facts: import('./state.js').SceneFacts | null) => PathDocument} fallback the path while the text is empty
 * @property {() => string} [note] what the user should know about that path; empty = nothing
 * @property {(reference: FileReference) => string} url where a preview file is served
 * @property {(name: string) => any} recall small view settings kept with the node
 * @property {(name: string, value: any) => void} remember
 */
import { pixelRay, isIdentity, radians, resized } from './math.js'
import { baked, dollied, orbited, withPivot } from './edits.js'
import { Inspector, PathBar } from './fields.js'
import { Hold } from './hold.js'
import { Pace } from './pace.js'
import { Page } from './page.js'
import { groundHeight, meetSurface } from './picking.js'
import { Playback } from './playback.js'
import { acquireRenderer, releaseRenderer } from './renderer.js'
import { SceneLoader } from './sceneLoader.js'
import { EditorState } from './state.js'
import { Status } from './status.js'
import { SceneView } from './sceneView.js'
import { ShotView } from './shotView.js'
import { COLOURS, installTheme, themeOf } from './theme.js'
import { Timeline } from './timeline.js'
import { Warnings } from './warnings.js'

/** @type {Layout[]} */
const LAYOUTS = ['both', 'swapped', 'scene', 'shot']
/** Longest side of the views, in pixels, while slow. */
const COARSE_SIDE = 400
const NO_SCENE = 'No scene yet: connect a DW-Mesh and run the graph.'

export class Editor {
  /** @param {Host} host */
  constructor(host) {
    installTheme()
    this.host = host
    this.state = new EditorState({ write: (text) => host.write(text) })
    /** @type {import('./renderer.js').Renderer | null} */
    this.renderer = null
    this.trouble = ''
    try {
      this.renderer = acquireRenderer()
    } catch (error) {
      this.trouble = `${/** @type {Error} */ (error).message} The path and its numbers can still be edited.`
    }
    this.software = this.renderer?.software ?? true
    /** The scene that is shown. @type {import('./clip.js').Clip | null} */
    this.clip = null
    this.groundHeight = 1
    this.snapping = false
    this.picking = false
    this.flying = false
    /** Codes of the keys that are held down. @type {Set<string>} */
    this.held = new Set()
    /** @type {Layout} */
    this.layout = 'both'
    this.theme = {
      text: '#ddd',
      faint: '#999',
      line: '#4e4e4e',
      light: false,
      path: COLOURS.path,
      target: COLOURS.target
    }
    this.fieldColour = '#222'
    this.disposed = false
    /** False in a collapsed node or outside the window: nothing is drawn there. */
    this.visible = true
    /** Whether the view beside the dragged one was left out of the last frame. */
    this.skipped = false
    /** @type {Set<'scene' | 'shot' | 'time'>} */
    this.dirty = new Set()
    /** The frame that is asked for. @type {number | undefined} */
    this.wake = undefined

    this.pace = new Pace(this.software, (step) => this.setDetail(step))
    this.hold = new Hold(this)
    this.playback = new Playback(this)
    this.warnings = new Warnings(this)
    this.loader = new SceneLoader(this)
    this.sceneView = new SceneView(this)
    this.shotView = new ShotView(this)
    this.timeline = new Timeline(this)
    this.inspector = new Inspector(this)
    this.pathBar = new PathBar(this)
    this.status = new Status(this)
    this.page = new Page(this)
    this.element = this.page.element
    this.recallSettings()
    this.watch()
    setTimeout(() => this.renderer?.warm())
    this.refresh()
    this.sceneView.home()
  }

  /** Draws again when something has changed that the picture depends on. */
  watch() {
    this.onState = (/** @type {'path' | 'frame' | 'scene'} */ what) => {
      if (what !== 'frame') this.warnings.refresh()
      this.redraw()
    }
    this.state.listeners.add(this.onState)
    this.onRenderer = () => {
      this.warnings.schedule()
      this.redraw()
    }
    this.renderer?.listeners.add(this.onRenderer)
    this.watcher = new ResizeObserver(() => {
      this.page.arrange()
      this.redraw()
    })
    this.watcher.observe(this.element)
    this.lookout = new IntersectionObserver((entries) => {
      this.visible = entries[entries.length - 1].isIntersecting
      if (this.visible) this.redraw()
    })
    this.lookout.observe(this.element)
    // ComfyUI's theme is a set of properties of the page's root.
    this.themeWatcher = new MutationObserver(() => this.redraw())
    this.themeWatcher.observe(document.documentElement, { attributes: true, attributeFilter: ['style'] })
  }

  // -------------------------------------------------------------------------------------------------- settings

  recallSettings() {
    const kept = this.host.recall('ex4d_view') ?? {}
    if (LAYOUTS.includes(kept.layout)) this.layout = kept.layout
    if (['colour', 'mask', 'checker'].includes(kept.mode)) this.shotView.setMode(kept.mode)
    if (typeof kept.loop === 'boolean') this.playback.loop = kept.loop
    if (typeof kept.snapping === 'boolean') this.snapping = kept.snapping
    if (kept.holeLimit > 0 && kept.holeLimit <= 1) this.warnings.holeLimit = kept.holeLimit
    this.page.showSettings()
  }

  remember() {
    const { layout, snapping } = this
    this.host.remember('ex4d_view', {
      layout,
      mode: this.shotView.mode,
      loop: this.playback.loop,
      snapping,
      holeLimit: this.warnings.holeLimit
    })
  }

  nextLayout() {
    this.layout = LAYOUTS[(LAYOUTS.indexOf(this.layout) + 1) % LAYOUTS.length]
    this.remember()
    this.page.showSettings()
  }

  /** @param {boolean} on */
  setLoop(on) {
    this.playback.loop = on
    this.remember()
    this.page.showSettings()
  }

  /** @param {boolean} on */
  setSnapping(on) {
    this.snapping = on
    this.remember()
    this.page.showSettings()
  }

  /** @param {boolean} on */
  setPicking(on) {
    this.picking = on
    this.page.showSettings()
  }

  /** @param {boolean} on */
  setFlying(on) {
    this.flying = on
    this.held.clear()
    this.page.showSettings()
  }

  focus() {
    this.page.focus()
  }

  /** Esc: gives up the drag, else leaves what was entered last. */
  leave() {
    if (this.hold.cancel()) return
    if (this.page.help) this.page.toggleHelp()
    else if (this.picking) this.setPicking(false)
    else if (this.flying) this.setFlying(false)
    else if (this.playback.playing) this.playback.stop()
    else if (this.page.large) this.page.setLarge(false)
    else this.page.keys.blur()
  }

  // -------------------------------------------------------------------------------------------------- document and scene

  /** Reads the widget again: after loading, pasting, the graph's undo, or a change of the preset widgets. */
  refresh() {
    const text = this.host.read()
    if (text.trim() && text === this.state.text) return
    this.state.read(text, () => this.host.fallback(this.state.scene))
  }

  /** Shows a clip, from its first frame on. @param {import('./clip.js').Clip} clip */
  adopt(clip) {
    this.clip?.dispose()
    this.clip = clip
    const h = clip.header
    const [width, height] = h.source
    this.groundHeight = groundHeight(h, /** @type {any} */ (clip.frames[0]).depth)
    this.warnings.forget()
    const first = !this.state.scene
    if (this.software) {
      this.touch()
      this.pace.setStep(2)
    }
    this.state.setScene({
      radius: h.radius,
      pivot: h.pivot,
      frames: h.clip_frames,
      intrinsics: resized({ ...h.intrinsics, width: h.width, height: h.height }, width, height)
    })
    if (!this.state.text.trim()) this.state.read('', () => this.host.fallback(this.state.scene))
    if (first) this.sceneView.home()
  }

  /** The stored clip frame for the playhead, -1 = none. */
  get clipIndex() {
    return this.clip ? this.clip.indexOf(this.state.frame) : -1
  }

  get sceneNote() {
    if (this.trouble) return this.trouble
    if (this.renderer?.lost) return 'The graphics driver has reset; the picture returns when it is back.'
    if (this.clip) return ''
    return this.loader.note || NO_SCENE
  }

  /** Whether the renderer passes the source frame through here: frame 0, seen from where it was taken. */
  showsSource() {
    if (this.state.frame !== 0 || !this.clip?.frames[0]) return false
    const pose = this.state.path?.poses[0]
    return !!pose && isIdentity(pose)
  }

  /** @param {Vec3} pivot */
  setPivot(pivot) {
    this.state.edit('pivot', (document) => withPivot(baked(document), pivot))
    this.state.settle()
    this.sceneView.active = 'pivot'
    this.setPicking(false)
  }

  /** The scene's point under a pixel of a view. @param {Camera} camera @param {number} x @param {number} y @returns {Vec3 | null} */
  surfacePoint(camera, x, y) {
    const frame = this.clip?.frames[Math.max(0, this.clipIndex)]
    return frame && this.clip ? meetSurface(this.clip.header, frame.depth, pixelRay(camera, x, y)) : null
  }

  snapStep() {
    // A round number near a twentieth of the scene's radius.
    const rough = this.state.document.radius / 20
    const power = 10 ** Math.floor(Math.log10(rough))
    return power * ([5, 2].find((f) => f * power <= rough) ?? 1)
  }

  /** @param {number} right degrees @param {number} up degrees */
  nudge(right, up) {
    this.state.editKey('orbit', (key) => orbited(key, this.state.document.pivot, radians(right), radians(up)))
  }

  /** @param {number} factor */
  dolly(factor) {
    this.state.editKey('dolly', (key) => dollied(key, this.state.document.pivot, factor))
  }

  /** @param {number} steps */
  zoomLens(steps) {
    const camera = this.state.camera()
    if (!camera) return
    const half = Math.atan(camera.intrinsics.height / (2 * camera.intrinsics.fy))
    const fov = Math.min(150, Math.max(2, (360 / Math.PI) * half * 1.04 ** steps))
    this.state.editKey('fov', (key) => ({ ...key, fov }))
  }

  // -------------------------------------------------------------------------------------------------- drawing

  /** Something is moving: stay fluid. */
  touch() {
    this.pace.touch()
  }

  /** Whether work that nobody waits for would be in the way. */
  get busy() {
    return (
      this.loader.arriving ||
      this.playback.playing ||
      this.state.held ||
      !this.pace.resting ||
      !this.element.clientWidth
    )
  }

  /** @param {'scene' | 'shot' | 'time'} [what] all without it */
  redraw(what) {
    if (this.disposed) return
    for (const part of what ? [what] : /** @type {const} */ (['scene', 'shot', 'time'])) this.dirty.add(part)
    if (!what) this.fieldsDirty = true
    if (!this.visible) return
    this.wake ??= requestAnimationFrame((now) => this.frame(now))
  }

  /** @param {number} now */
  frame(now) {
    this.wake = undefined
    if (this.disposed) return
    const { pace, playback } = this
    const dragging = this.state.held && pace.lastTouch >= this.hold.since
    const moving = playback.playing || dragging || !pace.resting
    if (playback.playing) playback.advance(now)
    if (this.flying && this.held.size)
      this.shotView.fly(this.held, Math.min(0.1, (now - pace.lastDraw) / 1000 || 0.016))
    pace.adapt(now, moving)
    const late = pace.defers(now, moving)
    if (this.fieldsDirty && !late) {
      this.fieldsDirty = false
      this.page.refresh()
    }
    this.showTheme()
    this.drawParts(dragging, late)
    if (!late) pace.lastFields = now
    pace.lastDraw = now
    const flies = this.flying && this.held.size > 0
    if (playback.playing || pace.step > 1 || this.dirty.size || flies)
      this.redraw(playback.playing || this.flying ? undefined : 'time')
  }

  showTheme() {
    this.theme = themeOf(this.element)
    this.element.classList.toggle('ex4d-light', this.theme.light)
    this.fieldColour = getComputedStyle(this.element).getPropertyValue('--e-field').trim() || '#222'
  }

  /** @param {boolean} dragging @param {boolean} late the timeline may wait */
  drawParts(dragging, late) {
    // On a slow machine the view beside the dragged one follows every second frame.
    const beside =
      this.pace.step > 1 && dragging && this.hold.view ? (this.hold.view === 'shot' ? 'scene' : 'shot') : null
    this.skipped = !!beside && this.dirty.has(beside) && !this.skipped
    const parts = [...this.dirty].filter((part) => !this.skipped || part !== beside)
    this.dirty.clear()
    if (beside && this.skipped) this.dirty.add(beside)
    if (parts.includes('scene')) this.sceneView.draw()
    if (parts.includes('shot')) this.shotView.draw()
    if (!parts.includes('time')) return
    if (late && this.timeline.shown === this.state.frame) this.dirty.add('time')
    else this.timeline.draw()
  }

  /** @param {number} step of the grid */
  setDetail(step) {
    for (const { surface } of [this.sceneView, this.shotView]) surface.limit = step > 1 ? COARSE_SIDE : Infinity
    this.dirty.add('scene').add('shot')
  }

  /**
   * The shot as pixels, for tests and comparisons with the renderer. @param {number} width @param {number} height
   * @param {'colour' | 'mask'} mode @returns {Uint8Array | null} RGBA, top row first
   */
  shotPixels(width, height, mode) {
    const camera = this.shotView.cameraAt(width, height)
    if (!camera || !this.renderer || !this.clip) return null
    return this.renderer.read({ clip: this.clip, index: this.clipIndex, camera, width, height, mode })
  }

  dispose() {
    if (this.disposed) return
    this.hold.end()
    this.disposed = true
    this.loader.dispose()
    this.warnings.dispose()
    this.pace.dispose()
    this.watcher?.disconnect()
    this.lookout?.disconnect()
    this.themeWatcher?.disconnect()
    if (this.wake) cancelAnimationFrame(this.wake)
    this.clip?.dispose()
    this.clip = null
    if (this.renderer) {
      if (this.onRenderer) this.renderer.listeners.delete(this.onRenderer)
      releaseRenderer()
      this.renderer = null
    }
    this.page.dispose()
  }
}
