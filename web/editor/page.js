// @ts-check
/** The editor's page: bars of buttons around views, timeline and numbers; help; the whole window. */
import { button, make } from './dom.js'
import { HELP, press } from './shortcuts.js'

/** @typedef {import('./editor.js').Editor} Editor */

export class Page {
  /** @param {Editor} editor its views, timeline, fields, playback and status are there */
  constructor(editor) {
    this.editor = editor
    this.buildButtons()
    this.count = make('span', { class: 'ex4d-count' })
    this.views = make('div', { class: 'ex4d-views' }, [editor.sceneView.element, editor.shotView.element])
    // A text field takes the keys, so that ComfyUI's own shortcuts and its undo leave them alone.
    this.keys = make('textarea', {
      class: 'ex4d-keys',
      readOnly: true,
      'aria-label': 'Camera path editor. Press ? for its keys.',
      onkeydown: (/** @type {KeyboardEvent} */ event) => {
        event.stopPropagation()
        if (press(editor, event)) event.preventDefault()
      },
      onkeyup: (/** @type {KeyboardEvent} */ event) => {
        event.stopPropagation()
        editor.held.delete(event.code)
      },
      onblur: () => editor.held.clear()
    })
    this.element = make(
      'div',
      { class: `ex4d-editor${editor.software ? ' ex4d-software' : ''}`, 'data-capture-wheel': 'true' },
      [
        this.keys,
        this.buildUpperBar(),
        this.views,
        this.buildLowerBar(),
        editor.timeline.element,
        editor.inspector.element,
        editor.status.element
      ]
    )
    this.large = false
    /** Where the editor returns to when the node was rebuilt while it filled the window. @type {HTMLElement | undefined} */
    this.home = undefined
    /** Keeps the place of an editor that fills the window. @type {HTMLElement | undefined} */
    this.place = undefined
    /** @type {HTMLElement | undefined} */
    this.help = undefined
    this.listen()
  }

  /** A button that leaves the keys with the editor. @param {string} name @param {string} title @param {() => void} run */
  act(name, title, run) {
    return button(name, title, () => {
      run()
      this.focus()
    })
  }

  buildButtons() {
    const { editor } = this
    const { timeline, state } = editor
    this.undo = this.act('undo', 'Undo (Ctrl + Z)', () => state.undo())
    this.redo = this.act('redo', 'Redo (Ctrl + Shift + Z)', () => state.redo())
    this.snap = this.act('snap', 'Snap to steps and whole angles (S)', () => editor.setSnapping(!editor.snapping))
    this.pick = this.act('pivot', 'Pick the pivot: click what the camera orbits around (P)', () =>
      editor.setPicking(!editor.picking)
    )
    this.fly = this.act('fly', 'Fly with W A S D, Q E; drag to look (F)', () => editor.setFlying(!editor.flying))
    this.expand = this.act('expand', 'Use the whole window (X)', () => this.setLarge(!this.large))
    this.loop = this.act('loop', 'Loop (L)', () => editor.setLoop(!editor.playback.loop))
    this.key = this.act('keyAdd', 'Add a key here, or remove it (K)', () => timeline.toggleKey())
    this.copy = this.act('copy', 'Duplicate the key (D)', () => timeline.duplicateKey())
    this.trash = this.act('trash', 'Delete the key (Delete)', () => timeline.removeKey())
  }

  buildUpperBar() {
    const { editor } = this
    return make('div', { class: 'ex4d-bar' }, [
      editor.pathBar.element,
      make('span', { class: 'ex4d-space' }),
      make('div', { class: 'ex4d-group' }, [this.undo, this.redo]),
      make('div', { class: 'ex4d-group' }, [this.pick, this.snap, this.fly]),
      make('div', { class: 'ex4d-group' }, [
        this.act('split', 'Next layout: both, shot large, scene only, shot only (V)', () => editor.nextLayout()),
        this.expand,
        this.act('help', 'Keys and gestures (?)', () => this.toggleHelp())
      ])
    ])
  }

  buildLowerBar() {
    const { timeline, state, playback } = this.editor
    return make('div', { class: 'ex4d-bar' }, [
      make('div', { class: 'ex4d-group' }, [
        this.act('first', 'First frame (Home)', () => state.goTo(0)),
        this.act('previous', 'Key before ( [ )', () => timeline.jump(-1)),
        playback.button,
        this.act('next', 'Key after ( ] )', () => timeline.jump(1)),
        this.loop
      ]),
      this.count,
      make('div', { class: 'ex4d-group' }, [this.key, this.copy, this.trash]),
      make('span', { class: 'ex4d-space' })
    ])
  }

  /** Events of the editor stay in it; a press anywhere but in a field gives it the keys. */
  listen() {
    const { editor, element } = this
    element.addEventListener('pointerdown', (event) => editor.hold.begin(/** @type {Element} */ (event.target)), true)
    element.addEventListener('pointerdown', (event) => {
      event.stopPropagation()
      const target = /** @type {Element} */ (event.target)
      if (!target.closest('input, select, button, .ex4d-help')) this.focus()
    })
    for (const name of ['pointermove', 'pointerup', 'dblclick', 'contextmenu'])
      element.addEventListener(name, (event) => event.stopPropagation())
    element.addEventListener('wheel', (event) => event.stopPropagation(), { passive: true })
    element.addEventListener('pointerenter', () => editor.redraw())
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
    const { editor } = this
    const show = (/** @type {HTMLElement | undefined} */ element, /** @type {boolean} */ on) =>
      element?.setAttribute('aria-pressed', String(on))
    this.views.dataset.layout = editor.layout
    show(this.loop, editor.playback.loop)
    show(this.snap, editor.snapping)
    show(this.pick, editor.picking)
    show(this.fly, editor.flying)
    show(this.expand, this.large)
    editor.redraw()
  }

  /** Numbers, frame count, status, and which buttons can be pressed. */
  refresh() {
    const { editor } = this
    const { state } = editor
    const { document, selected, frame } = state
    editor.pathBar.refresh()
    editor.inspector.refresh()
    editor.status.refresh()
    const digits = String(document.frames - 1).length
    const count = `${String(frame).padStart(digits, '\u2007')} / ${document.frames - 1}`
    if (this.count.textContent !== count) this.count.textContent = count
    const isKey = (/** @type {number} */ at) => !document.source && document.keyframes.some((key) => key.frame === at)
    const key = isKey(selected ?? frame)
    this.key?.setAttribute('aria-pressed', String(isKey(frame)))
    if (this.copy) this.copy.disabled = !key
    if (this.trash) this.trash.disabled = !key || document.keyframes.length < 2
    if (this.undo) this.undo.disabled = !state.past.length
    if (this.redo) this.redo.disabled = !state.future.length
  }

  dispose() {
    this.element.remove()
    this.place?.remove()
  }
}
