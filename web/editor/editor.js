// @ts-check
/**
 * The editor: puts views, timeline and fields together, loads the scene, plays, warns. One per camera node.
 *
 * @typedef {import('./math.js').Vec3} Vec3
 * @typedef {import('./math.js').Camera} Camera
 * @typedef {import('./preview.js').FileReference} FileReference
 * @typedef {import('./edits.js').PathDocument} PathDocument
 * @typedef {import('./edits.js').EvaluatedPath} EvaluatedPath
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
import { eyeOf, pixelRay, radians, resized } from './math.js'
import { baked, dollied, orbited, withPivot } from './edits.js'
import { button, endDrag, make } from './dom.js'
import { Inspector, PathBar } from './fields.js'
import { groundHeight, insideSurface, meetSurface } from './picking.js'
import { isReference, loadPreview } from './preview.js'
import { acquireRenderer, Clip, releaseRenderer } from './renderer.js'
import { HELP, press } from './shortcuts.js'
import { EditorState } from './state.js'
import { SceneView } from './sceneView.js'
import { ShotView } from './shotView.js'
import { COLOURS, installTheme, themeOf } from './theme.js'
import { Timeline } from './timeline.js'
import { resampleDocument } from './trajectory.js'

/** @type {Layout[]} */
const LAYOUTS = ['both', 'swapped', 'scene', 'shot']
/** A frame that takes longer than this (milliseconds) while something moves coarsens the picture. */
const SLOW = 40
/** So long after the last movement the picture is drawn in full again. */
const REST = 220
const SELDOM = 200
const HOLE_LIMIT = 0.75
/** Longest side of the views, in pixels, while slow. */
const COARSE_SIDE = 400
const NO_SCENE = 'No scene yet: connect a DW-Mesh and run the graph, then your clip stands here.'

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
    /** @type {Clip | null} */
    this.clip = null
    this.loadNote = ''
    /** A clip is on its way. */
    this.arriving = false
    /** File that the clip was read from to its end. */
    this.shown = ''
    this.groundHeight = 1
    this.step = 1
    this.playing = false
    this.loop = true
    /** Whether the grid had to be halved in a movement before. */
    this.wasSlow = false
    this.snapping = false
    this.picking = false
    this.flying = false
    this.large = false
    this.holeLimit = HOLE_LIMIT
    /** @type {Set<string>} */
    this.held = new Set()
    /** Share of holes per frame, -1 = not known. @type {number[]} */
    this.holes = []
    /** @type {(ArrayLike<number> | null)[]} poses that `holes` belongs to */
    this.holePoses = []
    /** @type {boolean[]} */
    this.insideFrames = []
    /** @type {Layout} */
    this.layout = 'both'
    this.theme = { text: '#ddd', faint: '#999', line: '#4e4e4e', light: false, path: COLOURS.path, target: COLOURS.target }
    this.fieldColour = '#222'
    this.disposed = false
    /** False in a collapsed node or outside the window: nothing is drawn there. */
    this.visible = true
    /** View that the pointer drags in, and whether the other one was left out of the last frame. @type {'scene' | 'shot' | null} */
    this.dragged = null
    this.skipped = false
    this.lastTouch = -Infinity
    this.pressed = 0
    this.lastDraw = 0
    this.lastFields = 0
    /** Times between frames drawn while something moves, for the adaptive grid and for tests. @type {number[]} */
    this.intervals = []
    /** @type {Set<'scene' | 'shot' | 'time'>} */
    this.dirty = new Set()

    this.sceneView = new SceneView(this)
    this.shotView = new ShotView(this)
    this.timeline = new Timeline(this)
    this.inspector = new Inspector(this)
    this.pathBar = new PathBar(this)
    this.element = this.build()
    this.element.classList.toggle('ex4d-software', this.software)
    this.recallSettings()

    this.onState = (/** @type {'path' | 'frame' | 'scene'} */ what) => {
      if (what !== 'frame') this.measurePath()
      this.redraw()
    }
    this.state.listeners.add(this.onState)
    this.onRenderer = () => this.redraw()
    this.renderer?.listeners.add(this.onRenderer)
    this.watcher = new ResizeObserver(() => {
      this.arrange()
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
    setTimeout(() => this.renderer?.warm())
    this.refresh()
    this.sceneView.home()
  }

  // -------------------------------------------------------------------------------------------------- page

  build() {
    const { timeline } = this
    const act = (/** @type {string} */ name, /** @type {string} */ title, /** @type {() => void} */ run) =>
      button(name, title, () => {
        run()
        this.focus()
      })
    this.undoButton = act('undo', 'Undo (Ctrl + Z)', () => this.state.undo())
    this.redoButton = act('redo', 'Redo (Ctrl + Shift + Z)', () => this.state.redo())
    this.snapButton = act('snap', 'Snap to steps and whole angles (S)', () => this.setSnapping(!this.snapping))
    this.pickButton = act('pivot', 'Pick the pivot: click what the camera orbits around (P)', () => this.setPicking(!this.picking))
    this.flyButton = act('fly', 'Fly with W A S D, Q E; drag to look (F)', () => this.setFlying(!this.flying))
    this.largeButton = act('expand', 'Use the whole window (X)', () => this.setLarge(!this.large))
    this.playButton = act('play', 'Play (Space)', () => this.toggle())
    this.loopButton = act('loop', 'Loop (L)', () => this.setLoop(!this.loop))
    this.keyButton = act('keyAdd', 'Add a key here, or remove it (K)', () => timeline.toggleKey())
    this.copyButton = act('copy', 'Duplicate the key (D)', () => timeline.duplicateKey())
    this.trashButton = act('trash', 'Delete the key (Delete)', () => timeline.removeKey())
    this.count = make('span', { class: 'ex4d-count' })
    this.status = make('div', { class: 'ex4d-status', role: 'status', 'aria-live': 'polite' })
    this.views = make('div', { class: 'ex4d-views' }, [this.sceneView.element, this.shotView.element])
    // A text field takes the keys, so that ComfyUI's own shortcuts and its undo leave them alone.
    this.keys = make('textarea', {
      class: 'ex4d-keys', readOnly: true, 'aria-label': 'Camera path editor. Press ? for its keys.',
      onkeydown: (/** @type {KeyboardEvent} */ event) => {
        event.stopPropagation()
        if (press(this, event)) event.preventDefault()
      },
      onkeyup: (/** @type {KeyboardEvent} */ event) => {
        event.stopPropagation()
        this.held.delete(event.code)
      },
      onblur: () => this.held.clear()
    })
    const root = make('div', { class: 'ex4d-editor', 'data-capture-wheel': 'true' }, [
      this.keys,
      make('div', { class: 'ex4d-bar' }, [
        this.pathBar.element, make('span', { class: 'ex4d-space' }),
        make('div', { class: 'ex4d-group' }, [this.undoButton, this.redoButton]),
        make('div', { class: 'ex4d-group' }, [this.pickButton, this.snapButton, this.flyButton]),
        make('div', { class: 'ex4d-group' }, [
          act('split', 'Next layout: both, shot large, scene only, shot only (V)', () => this.nextLayout()), this.largeButton,
          act('help', 'Keys and gestures (?)', () => this.toggleHelp())
        ])
      ]),
      this.views,
      make('div', { class: 'ex4d-bar' }, [
        make('div', { class: 'ex4d-group' }, [
          act('first', 'First frame (Home)', () => this.state.goTo(0)), act('previous', 'Key before ( [ )', () => timeline.jump(-1)), this.playButton,
          act('next', 'Key after ( ] )', () => timeline.jump(1)), this.loopButton
        ]),
        this.count, make('div', { class: 'ex4d-group' }, [this.keyButton, this.copyButton, this.trashButton]),
        make('span', { class: 'ex4d-space' })
      ]),
      this.timeline.element, this.inspector.element, this.status
    ])
    root.addEventListener('pointerdown', (event) => this.hold(/** @type {Element} */ (event.target)), true)
    root.addEventListener('pointerdown', (event) => {
      event.stopPropagation()
      const target = /** @type {Element} */ (event.target)
      if (!target.closest('input, select, button, .ex4d-help')) this.focus()
    })
    for (const name of ['pointermove', 'pointerup', 'dblclick', 'contextmenu']) root.addEventListener(name, (event) => event.stopPropagation())
    root.addEventListener('wheel', (event) => event.stopPropagation(), { passive: true })
    root.addEventListener('pointerenter', () => this.redraw())
    return root
  }

  /** A pointer went down: until it is up, lost or cancelled, all changes are one undo step. @param {Element} target */
  hold(target) {
    this.letGo?.()
    const { state } = this
    state.held = true
    this.dragged = target.closest('.ex4d-scene') ? 'scene' : target.closest('.ex4d-shot') ? 'shot' : null
    this.pressed = performance.now()
    this.undoable = state.past.length
    const ends = new AbortController()
    this.letGo = () => {
      ends.abort()
      this.letGo = undefined
      this.dragged = null
      state.held = false
      this.host.settled?.()
      this.redraw()
    }
    for (const name of ['pointerup', 'pointercancel', 'blur', 'lostpointercapture']) {
      window.addEventListener(name, (event) => (name !== 'blur' || event.target === window) && this.letGo?.(), { capture: true, signal: ends.signal })
    }
  }

  /** Gives a drag up and takes back what it did. @returns {boolean} whether there was one */
  cancelDrag() {
    if (!this.letGo) return false
    const changed = this.state.past.length > (this.undoable ?? 0)
    endDrag()
    this.letGo?.()
    if (changed) this.state.undo()
    return true
  }

  focus() {
    this.keys?.focus({ preventScroll: true })
  }

  recallSettings() {
    const kept = this.host.recall('ex4d_view') ?? {}
    if (LAYOUTS.includes(kept.layout)) this.layout = kept.layout
    if (['colour', 'mask', 'checker'].includes(kept.mode)) this.shotView.setMode(kept.mode)
    if (typeof kept.loop === 'boolean') this.loop = kept.loop
    if (typeof kept.snapping === 'boolean') this.snapping = kept.snapping
    if (kept.holeLimit > 0 && kept.holeLimit <= 1) this.holeLimit = kept.holeLimit
    this.applySettings()
  }

  remember() {
    if (!this.element) return
    const { layout, loop, snapping, holeLimit } = this
    this.host.remember('ex4d_view', { layout, mode: this.shotView.mode, loop, snapping, holeLimit })
  }

  applySettings() {
    if (!this.element) return
    const show = (/** @type {HTMLElement | undefined} */ element, /** @type {boolean} */ on) => element?.setAttribute('aria-pressed', String(on))
    if (this.views) this.views.dataset.layout = this.layout
    show(this.loopButton, this.loop)
    show(this.snapButton, this.snapping)
    show(this.pickButton, this.picking)
    show(this.flyButton, this.flying)
    show(this.largeButton, this.large)
    this.redraw()
  }

  /** Two views stand side by side, or one over the other where the room is taller than wide. */
  arrange() {
    if (this.views) this.views.dataset.tall = String(this.views.clientHeight > this.views.clientWidth)
  }

  nextLayout() {
    this.layout = LAYOUTS[(LAYOUTS.indexOf(this.layout) + 1) % LAYOUTS.length]
    this.remember()
    this.applySettings()
  }

  /** @param {boolean} on */
  setLoop(on) {
    this.loop = on
    this.remember()
    this.applySettings()
  }

  /** @param {boolean} on */
  setSnapping(on) {
    this.snapping = on
    this.remember()
    this.applySettings()
  }

  /** @param {boolean} on */
  setPicking(on) {
    this.picking = on
    this.applySettings()
  }

  /** @param {boolean} on */
  setFlying(on) {
    this.flying = on
    this.held.clear()
    this.applySettings()
  }

  /** Fills the browser window, or goes back into the node. @param {boolean} on */
  setLarge(on) {
    if (on === this.large) return
    this.large = on
    if (on) {
      this.place = make('div', { style: 'width:100%;height:100%' })
      this.element.replaceWith(this.place)
      document.body.append(this.element)
    } else {
      if (this.place?.isConnected) this.place.replaceWith(this.element)
      else this.home?.append(this.element)
    }
    this.element.classList.toggle('ex4d-large', on)
    this.applySettings()
    this.focus()
  }

  /** Where the editor returns to when the node was rebuilt while it filled the window. @param {HTMLElement} home */
  mount(home) {
    this.home = home
    if (!this.large) home.append(this.element)
  }

  toggleHelp() {
    if (this.help) {
      this.help.remove()
      this.help = undefined
      return
    }
    this.help = make('div', { class: 'ex4d-help' }, [
      button('close', 'Close (Esc)', () => this.toggleHelp()),
      make('div', { class: 'ex4d-help-columns' }, HELP.map(({ title, rows }) => make('section', {}, [
        make('h3', {}, [title]), make('dl', {}, rows.flatMap(([key, text]) => [make('dt', {}, [key]), make('dd', {}, [text])]))
      ])))
    ])
    this.element.append(this.help)
  }

  leave() {
    if (this.cancelDrag()) return
    if (this.help) this.toggleHelp()
    else if (this.picking) this.setPicking(false)
    else if (this.flying) this.setFlying(false)
    else if (this.playing) this.stop()
    else if (this.large) this.setLarge(false)
    else this.keys?.blur()
  }

  // -------------------------------------------------------------------------------------------------- document and scene

  /** Reads the widget again: after loading, pasting, the graph's undo, or a change of the preset widgets. */
  refresh() {
    const text = this.host.read()
    if (text.trim() && text === this.state.text) return
    this.state.read(text, () => this.host.fallback(this.state.scene))
  }

  /** @param {PathDocument} document @param {EvaluatedPath} path */
  bake(document, path) {
    void path
    return baked(document)
  }

  /** Loads the scene a run has published. @param {unknown} reference */
  async load(reference) {
    // The name is a hash of the content: a run that leaves the mesh as it was leaves the picture too.
    if (isReference(reference) && this.clip && reference.filename === this.shown) return
    this.loading?.abort()
    if (!isReference(reference)) return
    this.shown = ''
    const loading = (this.loading = new AbortController())
    /** @type {Clip | null} */
    let next = null
    this.loadNote = 'Loading the scene…'
    this.arriving = true
    this.redraw()
    try {
      await loadPreview(this.host.url(reference), {
        header: (header) => {
          next = new Clip(header)
        },
        frame: async (frame) => {
          const clip = /** @type {Clip} */ (next)
          clip.receive(frame)
          if (frame.index === 0) {
            this.adopt(clip)
            // The first picture comes before the work of unpacking the others.
            await painted()
          } else if (this.clipIndex === frame.index) this.redraw()
          this.measureInside()
        }
      }, loading.signal)
      this.loadNote = ''
      this.arriving = false
      this.shown = reference.filename
      this.measurePath()
    } catch (error) {
      if (loading.signal.aborted) {
        if (next && next !== this.clip) /** @type {Clip} */ (next).dispose()
        return
      }
      this.arriving = false
      this.loadNote = error instanceof TypeError
        ? 'The preview could not be loaded: the server does not answer. Run the camera node again.'
        : /** @type {Error} */ (error).message
    }
    this.redraw()
  }

  /** Shows a clip, from its first frame on. @param {Clip} clip */
  adopt(clip) {
    this.clip?.dispose()
    this.clip = clip
    const h = clip.header
    const [width, height] = h.source
    this.groundHeight = groundHeight(h, /** @type {any} */ (clip.frames[0]).depth)
    this.holes = []
    this.holePoses = []
    const first = !this.state.scene
    if (this.software) {
      this.touch()
      this.setDetail(2)
    }
    this.state.setScene({
      radius: h.radius, pivot: h.pivot, frames: h.clip_frames,
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
    return this.loadNote || NO_SCENE
  }

  /** Whether the renderer passes the source frame through here: frame 0, seen from where it was taken. */
  showsSource() {
    if (this.state.frame !== 0 || !this.clip?.frames[0]) return false
    const pose = this.state.path?.poses[0]
    return !!pose && IDENTITY.every((v, i) => Math.abs(v - pose[i]) <= 1e-4)
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

  // -------------------------------------------------------------------------------------------------- warnings

  /** Marks what has to be measured again after the path or the scene has changed. */
  measurePath() {
    const path = this.state.path
    if (!path) return
    const count = path.poses.length
    this.holes.length = this.holePoses.length = count
    for (let i = 0; i < count; i++) {
      const known = this.holePoses[i]
      if (!known || !equalPoses(known, path.poses[i])) this.holes[i] = this.holes[i] >= 0 && known ? this.holes[i] : -1
    }
    this.measureInside()
    this.scheduleHoles()
  }

  measureInside() {
    const path = this.state.path
    const clip = this.clip
    if (!path || !clip) {
      this.insideFrames = []
      return
    }
    this.insideFrames = path.poses.map((pose, i) => {
      const frame = clip.frames[clip.indexOf(i)]
      return !!frame && insideSurface(clip.header, frame.depth, eyeOf(pose))
    })
  }

  /** Measures the holes of one frame after another while nothing moves. */
  scheduleHoles() {
    if (this.holeTimer || this.disposed || !this.renderer || !this.clip) return
    this.holeTimer = setTimeout(() => {
      this.holeTimer = undefined
      if (this.disposed || !this.renderer || this.renderer.lost || !this.clip) return
      const path = this.state.path
      if (!path) return
      if (this.arriving || this.playing || this.state.held || performance.now() - this.lastTouch < REST || !this.element.clientWidth) {
        this.scheduleHoles()
        return
      }
      const start = performance.now()
      let changed = false
      let left = false
      for (const i of holeOrder(path.poses.length, this.state.frame)) {
        const known = this.holePoses[i]
        if (known && equalPoses(known, path.poses[i])) continue
        const index = this.clip.indexOf(i)
        if (index < 0 || (this.clip.loaded < this.clip.header.frames && this.clip.header.frame_numbers[index] !== i && this.clip.header.clip_frames > 1)) {
          left = left || this.clip.loaded < this.clip.header.frames
          continue
        }
        if (performance.now() - start > 12) {
          left = true
          break
        }
        const camera = /** @type {Camera} */ (this.state.camera(i))
        const source = i === 0 && IDENTITY.every((v, n) => Math.abs(v - path.poses[0][n]) <= 1e-4)
        this.holes[i] = source ? 0 : this.renderer.holeShare(this.clip, index, camera)
        this.holePoses[i] = path.poses[i]
        changed = true
      }
      if (changed) this.redraw('time')
      if (left) this.scheduleHoles()
    }, 40)
  }

  showStatus() {
    const { state, clip } = this
    /** @type {HTMLElement[]} */
    const parts = []
    const say = (/** @type {string} */ text, kind = '') => parts.push(make('span', { class: kind, title: text }, [text]))
    if (state.problem) say(`${state.problem} The path shown is the last good one.`, 'ex4d-bad')
    if (state.refused) say(state.refused, 'ex4d-warn')
    const note = state.text.trim() ? '' : this.host.note?.()
    if (note) say(note, 'ex4d-warn')
    if (clip && this.loadNote) say(this.loadNote, 'ex4d-warn')
    const scene = state.scene
    if (scene && scene.frames > 1 && scene.frames !== state.document.frames) {
      parts.push(make('span', { class: 'ex4d-warn' }, [
        `The path has ${state.document.frames} frames, the clip ${scene.frames}. `,
        make('button', {
          type: 'button', class: 'ex4d-link', onclick: () => {
            state.edit('length', (document) => /** @type {any} */ (resampleDocument(/** @type {any} */ (document), scene.frames)))
            state.settle()
          }
        }, ['Fit the path'])
      ]))
    }
    const inside = ranges(this.insideFrames)
    if (inside) say(`⚠ The camera enters the scene at ${inside}.`, 'ex4d-bad')
    const torn = ranges(this.holes.map((share) => share > this.holeLimit))
    if (torn) say(`⚠ More than ${Math.round(this.holeLimit * 100)} % holes at ${torn}.`, 'ex4d-warn')
    if (this.picking) say('Click what the camera should orbit around.')
    if (this.flying) say('Flying: W A S D, Q E, drag to look, Esc to land.')
    if (!parts.length) {
      if (state.document.source) say('A preset. Drag the camera, or any number, and it turns into keyframes.')
      else if (clip) say(`${state.document.keyframes.length} keys · ${clip.header.clip_frames} frames of ${clip.header.source.join('×')}, shown at ${clip.header.width}×${clip.header.height}`)
      else say(`${state.document.keyframes.length} keys`)
    }
    const text = parts.map((part) => part.textContent).join('|')
    if (text === this.statusText) return
    this.statusText = text
    this.status?.replaceChildren(...parts)
  }

  // -------------------------------------------------------------------------------------------------- time

  toggle() {
    this.playing ? this.stop() : this.play()
  }

  play() {
    if (this.state.document.frames < 2) return
    if (!this.loop && this.state.frame === this.state.document.frames - 1) this.state.goTo(0)
    this.playing = true
    this.playStart = { time: performance.now(), frame: this.state.frame }
    this.showPlaying()
  }

  stop() {
    if (!this.playing) return
    this.playing = false
    this.lastTouch = performance.now()
    this.showPlaying()
    this.scheduleHoles()
  }

  showPlaying() {
    const fresh = button(this.playing ? 'pause' : 'play', this.playing ? 'Pause (Space)' : 'Play (Space)', () => {})
    this.playButton?.replaceChildren(...fresh.childNodes)
    if (this.playButton) this.playButton.title = fresh.title
    this.redraw()
  }

  /** @param {number} now */
  advance(now) {
    const { state } = this
    const start = /** @type {{time: number, frame: number}} */ (this.playStart)
    const count = state.document.frames
    const frame = start.frame + Math.floor(((now - start.time) / 1000) * state.document.fps)
    if (frame >= count && !this.loop) {
      state.goTo(count - 1)
      this.stop()
    } else state.goTo(frame % count)
  }

  // -------------------------------------------------------------------------------------------------- drawing

  /** Something is moving: stay fluid. */
  touch() {
    this.lastTouch = performance.now()
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
    const dragging = this.state.held && this.lastTouch >= this.pressed
    const moving = this.playing || dragging || performance.now() - this.lastTouch < REST
    if (this.playing) this.advance(now)
    if (this.flying && this.held.size) this.shotView.fly(this.held, Math.min(0.1, (now - this.lastDraw) / 1000 || 0.016))
    this.adapt(now, moving)
    // Numbers and timeline cost a slow machine more than the picture; while it is behind they follow a few times a second.
    const late = this.step > 1 && moving && now - this.lastFields < SELDOM
    if (this.fieldsDirty && !late) {
      this.fieldsDirty = false
      this.showFields()
    }
    const style = getComputedStyle(this.element)
    this.theme = themeOf(this.element)
    this.element.classList.toggle('ex4d-light', this.theme.light)
    this.fieldColour = style.getPropertyValue('--e-field').trim() || '#222'
    // On a slow machine the view beside the dragged one follows every second frame.
    const beside = this.step > 1 && dragging && this.dragged ? (this.dragged === 'shot' ? 'scene' : 'shot') : null
    this.skipped = !!beside && this.dirty.has(beside) && !this.skipped
    const parts = [...this.dirty].filter((part) => !this.skipped || part !== beside)
    this.dirty.clear()
    if (beside && this.skipped) this.dirty.add(beside)
    if (parts.includes('scene')) this.sceneView.draw()
    if (parts.includes('shot')) this.shotView.draw()
    if (parts.includes('time')) {
      if (late && this.timeline.shown === this.state.frame) this.dirty.add('time')
      else this.timeline.draw()
    }
    if (!late) this.lastFields = now
    this.lastDraw = now
    if (this.playing || this.step > 1 || this.dirty.size || (this.flying && this.held.size)) this.redraw(this.playing || this.flying ? undefined : 'time')
  }

  /** Coarsens the picture while the machine is too slow to follow, and restores it at rest. @param {number} now @param {boolean} moving */
  adapt(now, moving) {
    const interval = now - this.lastDraw
    // Emulated graphics that were too slow once will be again: the next movement starts as the last one ended.
    if (moving && this.software && this.wasSlow && this.step === 1) this.setDetail(2)
    if (moving && interval > 0 && interval < 3000) {
      this.intervals.push(interval)
      if (this.intervals.length > 120) this.intervals.shift()
      const recent = this.intervals.slice(-3)
      const slow = recent.length === 3 && recent.every((v) => v > SLOW)
      if (slow && this.step === 1) {
        this.wasSlow = true
        this.setDetail(2)
      }
    } else if (!moving && this.step > 1) this.setDetail(1)
  }

  /** @param {number} step */
  setDetail(step) {
    this.step = step
    document.documentElement.classList.toggle('ex4d-hurry', step > 1 && this.software)
    for (const { surface } of [this.sceneView, this.shotView]) surface.limit = step > 1 ? COARSE_SIDE : Infinity
    this.dirty.add('scene').add('shot')
    this.intervals = []
  }

  showFields() {
    const { state } = this
    this.pathBar.refresh()
    this.inspector.refresh()
    const digits = String(state.document.frames - 1).length
    const count = `${String(state.frame).padStart(digits, '\u2007')} / ${state.document.frames - 1}`
    if (this.count && this.count.textContent !== count) this.count.textContent = count
    const key = !state.document.source && state.document.keyframes.some((k) => k.frame === (state.selected ?? state.frame))
    this.keyButton?.setAttribute('aria-pressed', String(!state.document.source && state.document.keyframes.some((k) => k.frame === state.frame)))
    if (this.copyButton) this.copyButton.disabled = !key
    if (this.trashButton) this.trashButton.disabled = !key || state.document.keyframes.length < 2
    if (this.undoButton) this.undoButton.disabled = !state.past.length
    if (this.redoButton) this.redoButton.disabled = !state.future.length
    this.showStatus()
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
    this.letGo?.()
    this.disposed = true
    this.loading?.abort()
    this.watcher.disconnect()
    this.lookout.disconnect()
    this.themeWatcher.disconnect()
    document.documentElement.classList.remove('ex4d-hurry')
    if (this.wake) cancelAnimationFrame(this.wake)
    clearTimeout(this.holeTimer)
    this.clip?.dispose()
    this.clip = null
    if (this.renderer) {
      this.renderer.listeners.delete(this.onRenderer)
      releaseRenderer()
      this.renderer = null
    }
    this.element.remove()
    this.place?.remove()
  }
}

/** Until the page has been drawn; a hidden page never is. @returns {Promise<unknown>} */
const painted = () => Promise.race([
  new Promise((done) => requestAnimationFrame(() => setTimeout(done))), new Promise((done) => setTimeout(done, 300))
])

const IDENTITY = [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]

/** @param {ArrayLike<number>} a @param {ArrayLike<number>} b */
function equalPoses(a, b) {
  for (let i = 0; i < 12; i++) if (a[i] !== b[i]) return false
  return true
}

/** Frames from the playhead outwards. @param {number} count @param {number} from */
function holeOrder(count, from) {
  return Array.from({ length: count }, (_, i) => i).sort((a, b) => Math.abs(a - from) - Math.abs(b - from))
}

/** Runs of true as text: "frames 3–7, 12"; empty where there are none. @param {boolean[]} flags */
export function ranges(flags) {
  /** @type {string[]} */
  const out = []
  for (let i = 0; i < flags.length; i++) {
    if (!flags[i]) continue
    let end = i
    while (flags[end + 1]) end++
    out.push(end > i ? `${i}–${end}` : `${i}`)
    i = end
  }
  if (!out.length) return ''
  return `frame${out.length > 1 || out[0].includes('–') ? 's' : ''} ${out.length > 4 ? `${out.slice(0, 4).join(', ')} …` : out.join(', ')}`
}
