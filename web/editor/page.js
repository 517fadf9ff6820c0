/**
 * The editor's page: bars of buttons around views, timeline and numbers; help; the whole window.
 *
 * @import { Commands } from './commands.js'
 * @import { Redraw } from './drawLoop.js'
 * @import { Gesture } from './gesture.js'
 * @import { Modes } from './modes.js'
 * @import { EditorState } from './state.js'
 *
 * @typedef {{element: HTMLElement}} Placed
 * @typedef {object} PageOptions
 * @property {EditorState} state
 * @property {Commands} commands
 * @property {Modes} modes
 * @property {Gesture} gesture
 * @property {boolean} software whether the graphics are emulated
 * @property {(event: KeyboardEvent) => boolean} press takes a key; whether it was used
 * @property {Redraw} redraw
 * @property {HTMLElement} playButton
 * @property {Placed[]} views
 * @property {Placed} pathBar
 * @property {Placed[]} below what stands under the views: timeline, numbers, status
 */
import { button, make } from './dom.js'
import { HELP } from './shortcuts.js'

export class Page {
  /** @param {PageOptions} options */
  constructor({ state, commands, modes, gesture, software, press, redraw, playButton, views, pathBar, below }) {
    this.state = state
    this.commands = commands
    this.modes = modes
    this.gesture = gesture
    this.redraw = redraw
    this.buttons = this.buildButtons()
    this.count = make('span', { class: 'ex4d-count' })
    this.views = make(
      'div',
      { class: 'ex4d-views' },
      views.map(({ element }) => element)
    )
    // A text field takes the keys, so that ComfyUI's own shortcuts and its undo leave them alone.
    this.keys = make('textarea', {
      class: 'ex4d-keys',
      readOnly: true,
      'aria-label': 'Camera path editor. Press ? for its keys.',
      onkeydown: (/** @type {KeyboardEvent} */ event) => {
        event.stopPropagation()
        if (press(event)) event.preventDefault()
      },
      onkeyup: (/** @type {KeyboardEvent} */ event) => {
        event.stopPropagation()
        modes.flyKeys.delete(event.code)
      },
      onblur: () => modes.flyKeys.clear()
    })
    this.element = make(
      'div',
      { class: `ex4d-editor${software ? ' ex4d-software' : ''}`, 'data-capture-wheel': 'true' },
      [
        this.keys,
        this.buildUpperBar(pathBar.element),
        this.views,
        this.buildLowerBar(playButton),
        ...below.map(({ element }) => element)
      ]
    )
    this.large = false
    /**
     * Where the editor returns to when the node was rebuilt while it filled the window.
     * @type {HTMLElement | undefined}
     */
    this.home = undefined
    /** Keeps the place of an editor that fills the window. @type {HTMLElement | undefined} */
    this.place = undefined
    /** @type {HTMLElement | undefined} */
    this.help = undefined
    this.listen()
  }

  /**
   * A button that leaves the keys with the editor.
   * @param {string} name
   * @param {string} title
   * @param {() => void} run
   */
  act(name, title, run) {
    return button(name, title, () => {
      run()
      this.focus()
    })
  }

  buildButtons() {
    const { state, commands, modes } = this
    return {
      undo: this.act('undo', 'Undo (Ctrl + Z)', () => state.undo()),
      redo: this.act('redo', 'Redo (Ctrl + Shift + Z)', () => state.redo()),
      snap: this.act('snap', 'Snap to steps and whole angles (S)', () => modes.toggle('snapping')),
      pick: this.act('pivot', 'Pick the pivot: click what the camera orbits around (P)', () => modes.toggle('picking')),
      fly: this.act('fly', 'Fly with W A S D, Q E; drag to look (F)', () => modes.toggle('flying')),
      points: this.act('points', 'Points in place of faces (O)', () => modes.toggle('points')),
      expand: this.act('expand', 'Use the whole window (X)', () => this.setLarge(!this.large)),
      loop: this.act('loop', 'Loop (L)', () => modes.toggle('loop')),
      timing: this.act('clock', 'Time: which frame of the clip is shown when', () => modes.toggle('timing')),
      key: this.act('keyAdd', 'Add a key here, or remove it (K)', () => commands.toggleKey()),
      copy: this.act('copy', 'Duplicate the key (D)', () => commands.duplicateKey()),
      trash: this.act('trash', 'Delete the key (Delete)', () => commands.removeKey())
    }
  }

  /** @param {HTMLElement} pathBar */
  buildUpperBar(pathBar) {
    const { undo, redo, pick, snap, fly, points, expand } = this.buttons
    return make('div', { class: 'ex4d-bar' }, [
      pathBar,
      make('span', { class: 'ex4d-space' }),
      make('div', { class: 'ex4d-group' }, [undo, redo]),
      make('div', { class: 'ex4d-group' }, [pick, snap, fly]),
      make('div', { class: 'ex4d-group' }, [points]),
      make('div', { class: 'ex4d-group' }, [
        this.act('split', 'Next layout: both, shot large, scene only, shot only (V)', () => this.modes.nextLayout()),
        expand,
        this.act('help', 'Keys and gestures (?)', () => this.toggleHelp())
      ])
    ])
  }

  /** @param {HTMLElement} playButton */
  buildLowerBar(playButton) {
    const { state, commands } = this
    const { loop, timing, key, copy, trash } = this.buttons
    return make('div', { class: 'ex4d-bar' }, [
      make('div', { class: 'ex4d-group' }, [
        this.act('first', 'First frame (Home)', () => state.goTo(0)),
        this.act('previous', 'Key before ( [ )', () => commands.jump(-1)),
        playButton,
        this.act('next', 'Key after ( ] )', () => commands.jump(1)),
        loop
      ]),
      this.count,
      make('div', { class: 'ex4d-group' }, [key, copy, trash]),
      make('div', { class: 'ex4d-group' }, [timing]),
      make('span', { class: 'ex4d-space' })
    ])
  }

  /** Events of the editor stay in it; a press anywhere but in a field gives it the keys. */
  listen() {
    const { element, gesture, redraw } = this
    element.addEventListener('pointerdown', (event) => gesture.begin(/** @type {Element} */ (event.target)), true)
    element.addEventListener('pointerdown', (event) => {
      event.stopPropagation()
      const target = /** @type {Element} */ (event.target)
      if (!target.closest('input, select, button, .ex4d-help')) this.focus()
    })
    for (const name of ['pointermove', 'pointerup', 'dblclick', 'contextmenu'])
      element.addEventListener(name, (event) => event.stopPropagation())
    element.addEventListener('wheel', (event) => event.stopPropagation(), { passive: true })
    element.addEventListener('pointerenter', () => redraw())
  }

  focus() {
    this.keys.focus({ preventScroll: true })
  }

  /** Two views stand side by side, or one over the other where the room is taller than wide. */
  arrange() {
    this.views.dataset.tall = String(this.views.clientHeight > this.views.clientWidth)
  }

  /** Fills the browser window, or goes back into the node. @param {boolean} on */
  setLarge(on) {
    if (on === this.large) return
    const { element } = this
    this.large = on
    if (on) {
      this.place = make('div', { style: 'width:100%;height:100%' })
      element.replaceWith(this.place)
      document.body.append(element)
    } else {
      if (this.place?.isConnected) this.place.replaceWith(element)
      else this.home?.append(element)
    }
    element.classList.toggle('ex4d-large', on)
    this.showSettings()
    this.focus()
  }

  /** @param {HTMLElement} home */
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
      make(
        'div',
        { class: 'ex4d-help-columns' },
        HELP.map(({ title, rows }) =>
          make('section', {}, [
            make('h3', {}, [title]),
            make(
              'dl',
              {},
              rows.flatMap(([key, text]) => [make('dt', {}, [key]), make('dd', {}, [text])])
            )
          ])
        )
      )
    ])
    this.element.append(this.help)
  }

  /** Layout and pressed buttons. */
  showSettings() {
    const { modes, buttons } = this
    const show = (/** @type {HTMLElement} */ element, /** @type {boolean} */ on) =>
      element.setAttribute('aria-pressed', String(on))
    this.views.dataset.layout = modes.layout
    show(buttons.loop, modes.loop)
    show(buttons.timing, modes.timing)
    show(buttons.snap, modes.snapping)
    show(buttons.points, modes.points)
    show(buttons.pick, modes.picking)
    show(buttons.fly, modes.flying)
    show(buttons.expand, this.large)
    this.redraw()
  }

  /** Frame count, and which buttons can be pressed. */
  refresh() {
    const { state, buttons } = this
    const { document, selected, frame } = state
    const digits = String(document.frames - 1).length
    const count = `${String(frame).padStart(digits, '\u2007')} / ${document.frames - 1}`
    if (this.count.textContent !== count) this.count.textContent = count
    const key = state.isKey(selected ?? frame)
    buttons.key.setAttribute('aria-pressed', String(state.isKey(frame)))
    const locked = !!state.lock()
    buttons.key.disabled = locked
    buttons.copy.disabled = locked || !key
    buttons.trash.disabled = locked || !key || document.keyframes.length < 2
    buttons.undo.disabled = locked || !state.past.length
    buttons.redo.disabled = locked || !state.future.length
  }

  dispose() {
    this.element.remove()
    this.place?.remove()
  }
}
