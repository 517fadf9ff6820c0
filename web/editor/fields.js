/**
 * Numeric fields: type, drag the label, arrow keys or wheel; the inspector made of them; the preset bar.
 *
 * @import { Commands } from './commands.js'
 * @import { Vec3 } from './math.js'
 * @import { Modes } from './modes.js'
 * @import { EditorState } from './state.js'
 *
 * @typedef {object} BarOptions
 * @property {EditorState} state
 * @property {Commands} commands
 * @property {() => void} focus gives the editor the keys
 */
import { axesOf, eyeOf, fovOf } from './math.js'
import { aimed, baked, keyAt, placedAround, spherical, translated } from './edits.js'
import { button, make, onDrag } from './dom.js'
import { FILM_BACKS, fovOfMillimetres, millimetresOf } from './filmBacks.js'
import { sourceTimes } from './time.js'
import { RUNS, withTime, withTimeEase, withoutTime } from './timeEdits.js'
import { EASES, INTERPOLATIONS, MAX_FRAMES, PRESETS, presetDocument, resampleDocument } from './trajectory.js'

const NAMES = {
  ease: { linear: 'Linear', in: 'Ease in', out: 'Ease out', 'in-out': 'Ease in-out' },
  interpolation: { linear: 'Straight', smooth: 'Smooth', 'catmull-rom': 'Round' },
  timeEase: { linear: 'Evenly', in: 'Ease in', out: 'Ease out', 'in-out': 'Ease in-out' },
  run: {
    filmed: 'As filmed',
    half: 'Half speed',
    double: 'Double speed',
    frozen: 'Frozen here',
    backwards: 'Backwards',
    back: 'There and back'
  }
}

/**
 * @typedef {object} NumberFieldOptions
 * @property {string} label
 * @property {string} title
 * @property {number} [digits]
 * @property {() => number} step of an arrow key, and of two pixels of a drag
 * @property {() => number | null} get
 * @property {(value: number) => void} set
 * @property {() => void} [settle] the change is done
 * @property {string} [axis] whose colour the label has
 * @property {() => void} [clear] called for an emptied field
 * @property {() => string} [empty] the inherited value
 * @property {number} [low]
 * @property {number} [high]
 */

/** One number. */
export class NumberField {
  /** @param {NumberFieldOptions} options */
  constructor(options) {
    this.options = options
    this.input = make('input', {
      type: 'text',
      inputMode: 'decimal',
      autocomplete: 'off',
      spellcheck: false,
      title: options.title,
      'aria-label': options.title,
      onchange: () => this.take(),
      onkeydown: (/** @type {KeyboardEvent} */ event) => this.key(event)
    })
    const handle = make('i', { title: `${options.title}. Drag to change.` }, [options.label])
    this.element = make('label', { class: 'ex4d-field' }, [handle, this.input])
    if (options.axis) this.element.dataset.axis = options.axis
    onDrag(handle, (event) => {
      let last = event.clientX
      const start = options.get()
      if (start === null && !options.empty) return null
      return {
        move: (next) => {
          const dx = next.clientX - last
          last = next.clientX
          this.shift(dx * options.step() * (next.shiftKey ? 0.1 : 0.5))
        },
        end: () => options.settle?.()
      }
    })
    this.refresh()
  }

  /** @param {number} value */
  put(value) {
    const { low = -Infinity, high = Infinity } = this.options
    this.options.set(Math.min(high, Math.max(low, value)))
  }

  /** @param {number} delta */
  shift(delta) {
    const now = this.options.get() ?? Number.parseFloat(this.options.empty?.() ?? '')
    if (Number.isFinite(now)) this.put(now + delta)
    this.refresh(true)
  }

  take() {
    const text = this.input.value.trim().replace(',', '.')
    const value = Number(text)
    if (text === '' && this.options.clear) this.options.clear()
    else if (text !== '' && Number.isFinite(value)) this.put(value)
    this.options.settle?.()
    this.refresh(true)
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    event.stopPropagation()
    if (event.key === 'ArrowUp' || event.key === 'ArrowDown') {
      event.preventDefault()
      this.shift((event.key === 'ArrowUp' ? 1 : -1) * this.options.step() * (event.shiftKey ? 10 : 1))
    } else if (event.key === 'Enter') {
      this.take()
      this.input.select()
    } else if (event.key === 'Escape') {
      this.refresh(true)
      this.input.blur()
    }
  }

  /** @param {boolean} [always] also while the field is being typed in */
  refresh(always = false) {
    if (!always && document.activeElement === this.input) return
    const value = this.options.get()
    const text = value === null ? '' : String(Number(value.toFixed(this.options.digits ?? 2)))
    const inherited = value === null ? (this.options.empty?.() ?? '–') : ''
    if (this.input.value !== text) this.input.value = text
    if (this.input.placeholder !== inherited) this.input.placeholder = inherited
  }
}

/**
 * A list to choose from.
 * @template {string} T
 * @param {string} title
 * @param {Record<T, string>} names as they are shown
 * @param {readonly T[]} values
 * @param {(value: T) => void} choose
 */
function picker(title, names, values, choose) {
  const element = make(
    'select',
    { title, 'aria-label': title, onchange: () => choose(/** @type {T} */ (element.value)) },
    values.map((value) => make('option', { value }, [names[value]]))
  )
  element.addEventListener('keydown', (event) => event.stopPropagation())
  return element
}

/** Vertical degrees that a lens may have. */
const [NARROWEST, WIDEST] = [1, 170]

/** The row of numbers for the camera at the playhead. */
export class Inspector {
  /**
   * @param {BarOptions & {modes: Modes, bendsTime: () => boolean}} options `bendsTime` whether time has a place in the
   *   editor now
   */
  constructor({ state, commands, modes, focus, bendsTime }) {
    this.state = state
    this.modes = modes
    this.focus = focus
    this.bendsTime = bendsTime
    const settle = () => state.settle()
    const eye = () => {
      const camera = state.camera()
      return camera ? eyeOf(camera.pose) : null
    }
    const around = (/** @type {'azimuth' | 'elevation' | 'distance'} */ name) => ({
      get: () => {
        const at = eye()
        return at && spherical(at, state.document.pivot)[name]
      },
      set: (/** @type {number} */ value) =>
        state.editKey(name, (key) => placedAround(key, state.document.pivot, { [name]: value })),
      settle
    })
    const length = () => state.document.radius / 50
    const place = (/** @type {number} */ i) => ({
      get: () => eye()?.[i] ?? null,
      set: (/** @type {number} */ value) =>
        state.editKey('position', (key) => {
          const delta = /** @type {Vec3} */ ([0, 0, 0])
          delta[i] = value - key.position[i]
          return translated(key, delta, false)
        }),
      step: length,
      settle,
      axis: 'xyz'[i],
      label: 'XYZ'[i],
      digits: 3
    })
    const aim = (/** @type {number} */ i) => ({
      get: () => state.target?.[i] ?? null,
      set: (/** @type {number} */ value) => {
        const { target } = state
        if (!target) return
        const next = /** @type {Vec3} */ ([...target])
        next[i] = value
        state.editKey('aim', (key) => aimed(key, next))
      },
      step: length,
      settle,
      axis: 'xyz'[i],
      label: 'XYZ'[i],
      digits: 3
    })
    const key = () => (state.document.source ? undefined : keyAt(state.document, state.frame))
    const f = (/** @type {NumberFieldOptions} */ options) => new NumberField(options)
    const degree = () => 1
    const shownFov = () => fovOf(state.camera()?.intrinsics ?? state.lens)
    const lens = {
      set: (/** @type {number} */ value) => state.editKey('fov', (k) => ({ ...k, fov: value })),
      clear: () => state.editKey('fov', (k) => ({ ...k, fov: null }))
    }
    const groups = /** @type {[string, NumberField[]][]} */ ([
      [
        'Around the pivot',
        [
          f({
            label: '↔',
            title: 'Angle around the pivot, degrees; positive = right',
            step: degree,
            digits: 1,
            ...around('azimuth')
          }),
          f({
            label: '↕',
            title: 'Height over the pivot, degrees; positive = up',
            step: degree,
            digits: 1,
            low: -89,
            high: 89,
            ...around('elevation')
          }),
          f({ label: '⟷', title: 'Distance from the pivot', step: length, digits: 3, low: 1e-4, ...around('distance') })
        ]
      ],
      [
        'Camera',
        [0, 1, 2].map((i) => f({ title: `Camera ${'XYZ'[i]} (x right, y down, z into the picture)`, ...place(i) }))
      ],
      [
        'Looks at',
        [0, 1, 2].map((i) => f({ title: `Target ${'XYZ'[i]} (x right, y down, z into the picture)`, ...aim(i) }))
      ],
      [
        'Lens',
        [
          f({
            label: 'roll',
            title: 'Roll, degrees; positive leans clockwise',
            step: degree,
            digits: 1,
            settle,
            get: () => key()?.roll ?? rollOf(state),
            set: (value) => state.editKey('roll', (k) => ({ ...k, roll: value }))
          }),
          f({
            label: 'fov',
            title: "Vertical field of view, degrees; empty = the clip's own",
            step: degree,
            digits: 1,
            settle,
            low: NARROWEST,
            high: WIDEST,
            get: () => key()?.fov ?? null,
            empty: () => shownFov().toFixed(1),
            ...lens
          }),
          f({
            label: 'mm',
            title: "Focal length in millimetres on the film back beside it; empty = the clip's own",
            step: degree,
            digits: 1,
            settle,
            get: () => {
              const fov = key()?.fov ?? null
              return fov && millimetresOf(fov, modes.filmBack)
            },
            empty: () => millimetresOf(shownFov(), modes.filmBack).toFixed(1),
            set: (value) => {
              const fov = value > 0 ? fovOfMillimetres(value, modes.filmBack) : WIDEST
              lens.set(Math.min(WIDEST, Math.max(NARROWEST, fov)))
            },
            clear: lens.clear
          })
        ]
      ]
    ])
    groups.push(['Time', [f(timeField(state, settle))]])
    this.fields = groups.flatMap(([, fields]) => fields)
    this.ease = picker('How the move into this key runs', NAMES.ease, EASES, (value) => {
      state.editKey('ease', (k) => ({ ...k, ease: value }))
      state.settle()
      focus()
    })
    this.timeEase = picker('How time runs up to this key', NAMES.timeEase, EASES, (value) => {
      state.edit('time ease', (document) => withTimeEase(document, state.frame, value))
      state.settle()
      focus()
    })
    this.run = picker(
      'How the whole path runs through the clip',
      { '': 'Run …', ...NAMES.run },
      ['', ...RUNS],
      (run) => {
        if (run) commands.runThrough(run)
        this.run.value = ''
        focus()
      }
    )
    const backs = Object.keys(FILM_BACKS)
    const names = Object.fromEntries(backs.map((name) => [name, name]))
    this.filmBack = picker('Film back that millimetres are meant for; its height counts', names, backs, (value) => {
      modes.set({ filmBack: value })
      focus()
    })
    /** @type {Record<string, HTMLElement[]>} */
    const beside = { Lens: [this.filmBack, this.ease], Time: [this.timeEase, this.run] }
    const sets = groups.map(([name, fields]) =>
      make('div', { class: `ex4d-fieldset${beside[name] ? ' ex4d-row' : ''}` }, [
        make('span', {}, [name]),
        ...fields.map((field) => field.element),
        ...(beside[name] ?? [])
      ])
    )
    this.time = sets[sets.length - 1]
    this.element = make('div', { class: 'ex4d-fields' }, sets)
  }

  refresh() {
    const { state } = this
    for (const field of this.fields) field.refresh()
    this.filmBack.value = this.modes.filmBack
    const key = state.document.source ? undefined : keyAt(state.document, state.frame)
    this.ease.disabled = !key
    this.ease.value = key?.ease ?? 'linear'
    this.time.style.display = this.bendsTime() ? '' : 'none'
    this.timeEase.disabled = key?.time === undefined
    this.timeEase.value = key?.time_ease ?? 'linear'
  }
}

/**
 * The frame of the clip that is shown at the playhead.
 * @param {EditorState} state @param {() => void} settle @returns {NumberFieldOptions}
 */
function timeField(state, settle) {
  const key = () => (state.document.source ? undefined : keyAt(state.document, state.frame))
  const shown = () => sourceTimes(state.document, state.clipFrames, [state.frame])[0]
  return {
    label: 'clip',
    title: 'Frame of the clip that is shown here; empty = as the keys around it say',
    step: () => 1,
    digits: 2,
    low: 0,
    high: MAX_FRAMES - 1,
    settle,
    get: () => key()?.time ?? null,
    empty: () => String(Number(shown().toFixed(2))),
    set: (value) => state.edit(`time ${state.frame}`, (document, path) => withTime(document, path, state.frame, value)),
    clear: () => state.edit('clear time', (document) => withoutTime(document, state.frame))
  }
}

/** Roll of the camera at the playhead against the level horizon, degrees. @param {EditorState} state */
function rollOf(state) {
  const camera = state.camera()
  if (!camera) return null
  const { right, forward } = axesOf(camera.pose)
  const level = Math.hypot(forward[0], forward[2])
  // Positive roll lowers the right side of the camera.
  return level < 1e-6
    ? 0
    : (Math.atan2(right[1], (right[0] * forward[2] - right[2] * forward[0]) / level) * 180) / Math.PI
}

/** Preset, its parameters, interpolation and length of the path. */
export class PathBar {
  /** @param {BarOptions} options */
  constructor({ state, commands, focus }) {
    this.state = state
    this.focus = focus
    this.closed = button('closed', 'Closed: the end goes on into the start, without a seam', () => {
      commands.toggleClosed()
      focus()
    })
    this.preset = make(
      'select',
      {
        title: 'Starting point: a preset path. The first change by hand turns it into keyframes.',
        'aria-label': 'Preset',
        onchange: () => this.choose(this.preset.value)
      },
      [
        make('option', { value: '' }, ['Keyframes']),
        ...PRESETS.map((preset) => make('option', { value: preset.name }, [preset.label]))
      ]
    )
    this.preset.addEventListener('keydown', (event) => event.stopPropagation())
    this.params = make('span', { class: 'ex4d-fieldset' })
    /** @type {NumberField[]} */
    this.fields = []
    this.shown = ''
    this.interpolation = picker('How the path runs between keys', NAMES.interpolation, INTERPOLATIONS, (value) => {
      state.edit('interpolation', (document) => ({ ...document, interpolation: value }))
      state.settle()
      focus()
    })
    this.length = new NumberField({
      label: 'frames',
      title: 'Length of the path in frames (EX-4D wants 49)',
      step: () => 1,
      digits: 0,
      low: 1,
      high: 2000,
      get: () => state.document.frames,
      set: (value) => state.edit('length', (document) => resampleDocument(document, Math.round(value)))
    })
    this.element = make('div', { class: 'ex4d-fieldset' }, [
      this.preset,
      this.params,
      this.interpolation,
      this.closed,
      this.length.element
    ])
  }

  /** @param {string} name */
  choose(name) {
    const { state } = this
    if (name) {
      state.edit('preset', (document) =>
        presetDocument(name, {
          frames: document.frames,
          fps: document.fps,
          width: document.width,
          height: document.height,
          radius: state.scene?.radius ?? document.radius,
          pivot: state.scene?.pivot ?? document.pivot,
          interpolation: document.interpolation === 'linear' ? 'catmull-rom' : document.interpolation,
          frame_of_reference: document.frame_of_reference,
          loop: document.loop
        })
      )
    } else state.edit('keys', baked)
    state.settle()
    state.select(null)
    this.focus()
  }

  /** @param {string} name parameter of the preset @param {number} value */
  setParam(name, value) {
    this.state.edit(`param ${name}`, (document) => ({
      ...document,
      source: document.source && { ...document.source, params: { ...document.source.params, [name]: value } }
    }))
  }

  refresh() {
    const { state } = this
    const source = state.document.source
    this.preset.value = source?.preset ?? ''
    this.interpolation.value = state.document.interpolation
    this.interpolation.hidden = !!source
    this.closed.setAttribute('aria-pressed', String(!!state.document.loop))
    if (this.shown !== (source?.preset ?? '')) {
      this.shown = source?.preset ?? ''
      const preset = PRESETS.find((p) => p.name === this.shown)
      this.fields = (preset?.params ?? []).map(
        (param) =>
          new NumberField({
            label: param.name,
            title: param.unit === 'radius' ? `${param.description} In radii of the scene.` : param.description,
            low: param.min,
            high: param.max,
            step: () => ({ deg: 1, frame: 1, radius: 0.02 })[param.unit] ?? 0.1,
            digits: 2,
            settle: () => state.settle(),
            get: () => {
              const value = state.document.source?.params[param.name]
              return typeof value === 'number' ? value : null
            },
            set: (value) => this.setParam(param.name, value)
          })
      )
      this.params.replaceChildren(...this.fields.map((field) => field.element))
    }
    for (const field of [...this.fields, this.length]) field.refresh()
  }
}
