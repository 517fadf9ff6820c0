/**
 * What decides a camera node's path: the text in `path`, the preset of the node's widgets, or something that only a run
 * knows: a link, a camera file, a 3D viewer. Of the last the path is shown that the last run has made.
 *
 * @import { GraphNode, Widget } from './graphNode.js'
 * @import { PathDocument } from './editor/pathDocument.js'
 * @import { SceneFacts } from './editor/state.js'
 * @import { Note } from './editor/status.js'
 * @import { Known, Source } from './inputSources.js'
 */
import { widgetOf } from './graphNode.js'
import { DEFAULT_RADIUS, framesFor, parseDocument, presetDocument, PRESETS } from './editor/trajectory.js'
import { word } from './editor/words.js'
import { sourceOf } from './inputSources.js'

export const PATH = 'path'
/** The camera file's widget. */
export const FILE = 'file'
/** Socket of a 3D viewer's camera. */
const VIEWPOINT = 'viewpoint'
const NO_FILE = 'none'
const PRESET = 'preset'
/** What the path is laid on where the source camera moves, and how much of its shake is taken out. */
const [BASE, STABILISE] = ['base', 'stabilise']
/** Widgets that every preset takes, and those that some take. */
const ALWAYS = ['ease', 'frames', 'fps', 'scale']
const SOME = ['angle', 'distance', 'turns', 'rise', 'follow', 'freeze', 'hold']
/** Closes a preset; a camera that only Python reads is as it is. */
const LOOP = 'loop'
/** Widgets that ask for a preset; the editor's bar takes their place. */
export const PRESET_WIDGETS = [PRESET, ...SOME, ...ALWAYS, LOOP]

/** Where the node keeps what the last run made of a path that only a run knows, and of which values. */
const RESULT = 'ex4d_path'
const RESULT_OF = 'ex4d_path_of'

/** What the last runs of this page belonged to, by what they made. @type {Map<string, [string, string]>} */
const runs = new Map()
const REMEMBERED = 50

/** @param {Source | null | undefined} source @returns {source is Known} */
const isKnown = (source) => !!source && 'widget' in source

export class PathOrigin {
  /** @param {GraphNode} node */
  constructor(node) {
    this.node = node
    /** @type {Map<string, Source>} */
    this.sources = new Map()
    /** What the last survey has found. @type {unknown[]} */
    this.found = []
    this.survey()
  }

  /** Looks at links and values again. @returns {boolean} whether anything has changed */
  survey() {
    this.sources.clear()
    for (const name of [PATH, FILE, VIEWPOINT, BASE, STABILISE, ...PRESET_WIDGETS]) {
      const source = sourceOf(this.node, name)
      if (source) this.sources.set(name, source)
    }
    const before = this.found
    this.found = [...this.sources].flatMap(([name, source]) => [name, told(source), this.faceOf(name)])
    return before.length !== this.found.length || this.found.some((each, i) => !Object.is(each, before[i]))
  }

  // ----------------------------------------------------------------------------------------------------- what decides

  /** The widget whose text is sent as the path; null where a link decides. @returns {Widget | null} */
  get pathWidget() {
    const source = this.sources.get(PATH)
    return isKnown(source) ? source.widget : null
  }

  /** The path's text, empty where there is none or it is not known. */
  get text() {
    return String(this.pathWidget?.value ?? '')
  }

  /** A widget's value, its own or the one on the subgraph's face; the own one where a link decides. @param {string} name */
  value(name) {
    const source = this.sources.get(name)
    return isKnown(source) ? source.widget.value : widgetOf(this.node, name)?.value
  }

  /** @param {string} name */
  isUnknown(name) {
    return this.sources.has(name) && !isKnown(this.sources.get(name))
  }

  /** The subgraph node whose face holds a value. @param {string} name */
  faceOf(name) {
    const source = this.sources.get(name)
    return isKnown(source) ? (source.host?.id ?? null) : null
  }

  /** Whether the path comes from a camera that only Python reads: a file, or a 3D viewer's. */
  get takesCamera() {
    const file = this.value(FILE)
    return this.isUnknown(VIEWPOINT) || this.isUnknown(FILE) || (!!file && file !== NO_FILE)
  }

  /** The inputs that decide the path while its text is empty. @returns {string[]} */
  get deciding() {
    const base = this.isStabilised ? [BASE, STABILISE] : [BASE]
    if (this.isUnknown(VIEWPOINT)) return [VIEWPOINT, ...ALWAYS, ...base]
    if (this.takesCamera) return [FILE, 'scale', ...base]
    const preset = this.preset
    const params = preset.params.map(({ name }) => name)
    const taken = this.isUnknown(PRESET) ? SOME : SOME.filter((name) => params.includes(name))
    const closed = this.isUnknown(LOOP) || this.value(LOOP) ? [LOOP] : []
    return [PRESET, ...taken, ...ALWAYS, ...closed, ...base]
  }

  /** Whether the path rides on the source camera's own without the shake, which only Python works out. */
  get isStabilised() {
    return this.value(BASE) === 'stabilised'
  }

  /** Inputs that decide the path and whose values only a run knows. @returns {string[]} */
  get unknown() {
    if (!this.pathWidget) return [PATH]
    return this.deciding.filter((name) => this.isUnknown(name))
  }

  /** Whether only a run knows the path. */
  get needsRun() {
    const onlyPython = this.takesCamera || this.isStabilised || this.unknown.length > 0
    return !this.pathWidget || (!this.text.trim() && onlyPython)
  }

  /** Why an edit would not count; empty = it does. */
  get lock() {
    return this.pathWidget ? '' : this.phrase([PATH])
  }

  /** Why a chosen camera file would not count, in sentences; empty = it does. @returns {string[]} */
  get fileLock() {
    if (this.isUnknown(VIEWPOINT)) return ['viewpoint is connected and takes the place of a file.']
    const link = [PATH, FILE].find((name) => this.isUnknown(name))
    return link ? [this.phrase([link]), 'Cut the link first.'] : []
  }

  /** The combos that offer camera files, that which is sent first. @returns {Widget[]} */
  get fileLists() {
    const source = this.sources.get(FILE)
    const own = widgetOf(this.node, FILE)
    const all = [isKnown(source) ? source.widget : null, own].filter((each) => !!each)
    return [...new Set(all)]
  }

  // ------------------------------------------------------------------------------------------------ what a run has made

  /** What the result belongs to: another camera file's path is not this one's. */
  get kind() {
    if (!this.pathWidget) return PATH
    if (this.isUnknown(VIEWPOINT)) return VIEWPOINT
    if (!this.takesCamera) return this.isStabilised ? `${PRESET} ${STABILISE}` : PRESET
    return `${FILE} ${this.isUnknown(FILE) ? '' : this.value(FILE)}`
  }

  get values() {
    return JSON.stringify(this.pathWidget ? this.deciding.map((name) => told(this.sources.get(name))) : [])
  }

  /** Takes what a run has made of the path. @param {unknown} text */
  keep(text) {
    const { properties } = this.node
    if (typeof text === 'string' && this.needsRun) {
      runs.delete(text)
      runs.set(text, [this.kind, this.values])
      if (runs.size > REMEMBERED) runs.delete([...runs.keys()][0])
      this.recover(text)
    } else {
      delete properties[RESULT]
      delete properties[RESULT_OF]
    }
  }

  /** Takes what a run of this page has made, which the node may have forgotten. @param {unknown} text */
  recover(text) {
    const of = runs.get(String(text))
    if (!of) return
    this.node.properties[RESULT] = text
    this.node.properties[RESULT_OF] = of
  }

  /** What the last run made, where that is what would be sent now as far as it can be known. @returns {string} */
  get result() {
    const text = this.node.properties[RESULT]
    if (!text || !this.needsRun) return ''
    const of = this.node.properties[RESULT_OF]
    // Older graphs keep the result of a camera alone, without a word of what it belongs to.
    return (of ? of[0] === this.kind : this.takesCamera) ? text : ''
  }

  /** Whether the node has no result, though it would show one. */
  get lacksResult() {
    return this.needsRun && !this.node.properties[RESULT]
  }

  /** Whether values that the result was made of are others now. */
  get hasChanged() {
    const of = this.node.properties[RESULT_OF]
    return !!of && of[1] !== this.values
  }

  // ---------------------------------------------------------------------------------------------------- what is shown

  get preset() {
    const name = this.value(PRESET)
    return PRESETS.find((each) => each.name === name) ?? PRESETS[0]
  }

  /**
   * The path while its text is empty: what the last run made, else the preset of the widgets as Python reads them
   * (nodes/trajectory.py).
   * @param {SceneFacts | null} scene
   * @returns {PathDocument}
   */
  document(scene) {
    const { result, preset } = this
    if (result) return parseDocument(result)
    /** @type {Record<string, unknown>} */
    const given = Object.fromEntries(SOME.map((name) => [name, this.value(name)]))
    if (preset.name === 'spiral') Object.assign(given, { size: Math.abs(Number(given.distance)), distance: 0 })
    /** @type {Record<string, unknown>} */
    const params = { ease: this.value('ease') ?? 'linear' }
    for (const { name } of preset.params) if (typeof given[name] === 'number') params[name] = given[name]
    const whole = framesFor(preset, params, scene && scene.frames > 1 ? scene.frames : 49)
    const radius = (Number(this.value('scale')) || 1) * (scene?.radius ?? DEFAULT_RADIUS)
    const stands = scene?.moves && this.value(BASE) !== 'follow'
    return presetDocument(preset.name, {
      frames: Number(this.value('frames')) || whole,
      fps: Number(this.value('fps')) || 15,
      radius,
      params,
      loop: this.value(LOOP) === true,
      frame_of_reference: stands ? 'world' : 'source'
    })
  }

  /** What the user should know about the shown path. @returns {Note} */
  get note() {
    if (this.needsRun) return { sentences: this.runNote, warns: true }
    const onFace = this.faceOf(PATH) !== null
    return { sentences: onFace ? ["The path is the one on the subgraph's face; edits go there."] : [], warns: false }
  }

  /** @returns {string[]} */
  get runNote() {
    const links = this.unknown.filter((name) => name !== VIEWPOINT)
    const last = this.hasChanged
      ? 'This is the last run; other values have changed since: run again.'
      : 'This is what the last run made.'
    if (links.length || (this.isStabilised && !this.takesCamera)) {
      const run = "Run the node to see its path; until then the node's own values are shown."
      const edits = this.pathWidget ? 'An edit here takes the place of what is linked.' : 'Edits here would not count.'
      return [...(links.length ? [this.phrase(links)] : []), this.result ? last : run, edits]
    }
    if (this.result) return this.hasChanged ? [last] : []
    const camera = this.isUnknown(VIEWPOINT) ? 'viewer' : 'file'
    return [`The camera ${camera}'s path is shown after the node has run; until then this is the preset.`]
  }

  /** Where inputs come from: "angle, fps come from links." @param {string[]} names */
  phrase(names) {
    const hosts = names.map((name) => {
      const source = this.sources.get(name)
      return source && !isKnown(source) ? source.hosts : 0
    })
    const most = Math.max(...hosts)
    const list = names.map((name) => word(name)).join(', ')
    if (names.length > 1)
      return most > 1 ? `${list} are set on ${most} nodes of this subgraph.` : `${list} come from links.`
    return most > 1 ? `${list} is set on ${most} nodes of this subgraph.` : `${list} comes from a link.`
  }
}

/** A source as JSON: the value, or that it is not known. @param {Source | undefined} source */
const told = (source) => (isKnown(source) ? source.widget.value : (source?.hosts ?? null))
