// The trajectory document: what the JSON may hold, and errors that name the keyframe and field; the twin of
// ex4d_core/trajectory/document.py. No side effects.

import { length, sub } from './math.js'
import { EASES, PRESETS } from './presets.js'

/** @import { Vec3 } from './math.js' */
/** @import { Quat } from './poses.js' */
/** @import { Ease, Preset } from './presets.js' */
/** @typedef {(typeof INTERPOLATIONS)[number]} Interpolation */
/** @typedef {{keyframe?: number, field?: string}} Where what of a document is to blame */
/**
 * @typedef {object} Keyframe
 * @property {number} frame
 * @property {number} [time] frame of the clip that is shown here, may be fractional; only where it is set
 * @property {Ease} [time_ease] warp of the way to that time; only where it is not even
 * @property {Vec3} position world
 * @property {Vec3} [target] world; a keyframe has a target or a quaternion
 * @property {Quat} [quaternion] camera-to-world
 * @property {number} roll degrees, clockwise for the operator
 * @property {number | null} fov vertical degrees; null = the scene's
 * @property {[number, number]} lens_shift shares of width and height
 * @property {Ease} ease time warp of the segment that ends here
 */
/**
 * @typedef {object} Source an untouched preset
 * @property {string} preset
 * @property {Record<string, number | string>} params all of the preset's, and `ease`
 */
/**
 * @typedef {object} PathDocument a camera path as `parseDocument` returns it, with every field present
 * @property {number} version
 * @property {number} frames
 * @property {number} fps
 * @property {number | null} width
 * @property {number | null} height
 * @property {Interpolation} interpolation
 * @property {Vec3} pivot
 * @property {number} radius
 * @property {'world'} [frame_of_reference] only where it stands still while the source camera moves; else it rides on that
 * @property {true} [loop] only where the path is closed: the frame after its last would be its first
 * @property {Source | null} source
 * @property {Keyframe[]} keyframes
 */

export const VERSION = 1
export const INTERPOLATIONS = /** @type {const} */ (['linear', 'smooth', 'catmull-rom'])
/** What a path's coordinates are counted from: the source camera at each frame, or where it began. */
export const FRAMES_OF_REFERENCE = /** @type {const} */ (['source', 'world'])
export const MAX_FRAMES = 10000
export const FPS_RANGE = /** @type {const} */ ([1e-3, 1000])
export const DEFAULT_RADIUS = 10000 / 3900 + 0.15
/** Position and target closer than this leave no direction to look in. */
export const SHORTEST = 1e-9
export const TOP_FIELDS = [
  'version',
  'frames',
  'fps',
  'width',
  'height',
  'interpolation',
  'pivot',
  'radius',
  'frame_of_reference',
  'loop',
  'source',
  'keyframes'
]
export const KEY_FIELDS = [
  'frame',
  'time',
  'time_ease',
  'position',
  'target',
  'quaternion',
  'roll',
  'fov',
  'lens_shift',
  'ease'
]
/** What a keyframe has where its JSON says nothing of it. @type {Readonly<Record<string, unknown>>} */
export const KEY_DEFAULTS = { roll: 0, fov: null, lens_shift: [0, 0], ease: 'linear', time_ease: 'linear' }
/** Decimals of a keyframe as text; its lengths get more where the scene or the way to the target is small. */
export const COMPACT_DECIMALS = 7

/** An error whose message is a sentence for the artist; tells the keyframe and field where one is to blame. */
export class TrajectoryError extends Error {
  /** @param {string} message @param {Where} [where] */
  constructor(message, where = {}) {
    super(message)
    this.name = 'TrajectoryError'
    this.keyframe = where.keyframe
    this.field = where.field
  }
}

/**
 * Reads and checks a document. Returns a new object with every field present.
 * @param {string | object} textOrDocument
 * @returns {PathDocument}
 */
export function parseDocument(textOrDocument) {
  const raw = typeof textOrDocument === 'string' ? parsed(textOrDocument) : textOrDocument
  if (!isObject(raw)) throw new TrajectoryError(`A camera path is a JSON object, got ${show(raw)}.`)
  if (!('version' in raw)) {
    throw new TrajectoryError(
      'This JSON is not an EX-4D camera path: it has no "version". Expected version 1 with keyframes.'
    )
  }
  if (raw.version !== VERSION) {
    throw new TrajectoryError(
      `The camera path has version ${show(raw.version)}, this pack reads version ${VERSION}. ` +
        'Update the pack, or save the path again with this one.'
    )
  }
  refuseUnknown(raw, TOP_FIELDS, 'The camera path', {})
  const path = "The camera path's"
  const frames = integer(raw.frames, `${path} frames`, 1, MAX_FRAMES, { field: 'frames' })
  const radius = number(raw.radius === undefined ? DEFAULT_RADIUS : raw.radius, `${path} radius`, 1e-6, 1e9, {
    field: 'radius'
  })
  const size = ['width', 'height'].map((side) =>
    raw[side] == null ? null : integer(raw[side], `${path} ${side}`, 1, 65536, { field: side })
  )
  if ((size[0] === null) !== (size[1] === null)) {
    throw new TrajectoryError("The camera path's width and height must both be numbers or both be null.", {
      field: 'width'
    })
  }
  /** @type {PathDocument} */
  const document = {
    version: VERSION,
    frames,
    fps: number(raw.fps === undefined ? 15 : raw.fps, `${path} fps`, ...FPS_RANGE, { field: 'fps' }),
    width: size[0],
    height: size[1],
    interpolation: choice(
      raw.interpolation === undefined ? 'linear' : raw.interpolation,
      `${path} interpolation`,
      INTERPOLATIONS,
      {
        field: 'interpolation'
      }
    ),
    pivot: /** @type {Vec3} */ (
      vector(raw.pivot === undefined ? [0, 0, radius] : raw.pivot, `${path} pivot`, 3, 1e9, { field: 'pivot' })
    ),
    radius,
    ...referenceOf(raw.frame_of_reference),
    ...loopOf(raw.loop),
    source: sourceOf(raw.source),
    keyframes: keyframesOf(raw.keyframes === undefined ? [] : raw.keyframes, frames)
  }
  if (document.source === null && !document.keyframes.length) {
    throw new TrajectoryError('The camera path has neither a preset nor a keyframe. Add at least one keyframe.', {
      field: 'keyframes'
    })
  }
  return document
}

/**
 * The document in few characters: keyframes without what is at its default, their numbers rounded so that no camera
 * turns or moves by more than 1e-7 of what it looks at. Python's `to_compact_json` writes the same.
 * @param {PathDocument} document
 */
export function compactText(document) {
  return JSON.stringify({ ...document, keyframes: document.keyframes.map((key) => compactKey(key, document.radius)) })
}

/** @param {Keyframe} key @param {number} radius */
function compactKey(key, radius) {
  const nearest = key.target ? Math.min(radius, length(sub(key.target, key.position))) : radius
  const lengths = COMPACT_DECIMALS + Math.max(0, -Math.floor(Math.log10(nearest)))
  /** @type {Record<string, unknown>} */
  const written = {}
  for (const [name, value] of Object.entries(key)) {
    const rounded = short(value, name === 'position' || name === 'target' ? lengths : COMPACT_DECIMALS)
    if (!isDefault(name, rounded)) written[name] = rounded
  }
  return written
}

/** @param {string} name @param {unknown} value */
const isDefault = (name, value) => name in KEY_DEFAULTS && String(value) === String(KEY_DEFAULTS[name])

/** A number, or each of a list, rounded; anything else as it is. @param {unknown} value @param {number} decimals */
function short(value, decimals) {
  if (Array.isArray(value)) return value.map((each) => Number(each.toFixed(decimals)) || 0)
  return typeof value === 'number' ? Number(value.toFixed(decimals)) || 0 : value
}

/** @param {string} text @returns {unknown} */
function parsed(text) {
  try {
    return JSON.parse(text)
  } catch (error) {
    const why = error instanceof Error ? error.message : error
    throw new TrajectoryError(`The camera path is not valid JSON: ${why}. Paste it as the editor wrote it.`)
  }
}

/**
 * Present only where it says something, so that other documents open in versions that do not know it.
 * @param {unknown} raw @returns {{frame_of_reference?: 'world'}}
 */
function referenceOf(raw) {
  if (raw === undefined) return {}
  const value = choice(raw, "The camera path's frame_of_reference", FRAMES_OF_REFERENCE, {
    field: 'frame_of_reference'
  })
  return value === 'world' ? { frame_of_reference: value } : {}
}

/** Present only where a path is closed. @param {unknown} raw @returns {{loop?: true}} */
function loopOf(raw) {
  if (raw !== undefined && typeof raw !== 'boolean') {
    throw new TrajectoryError(`The camera path's loop must be true or false, got ${show(raw)}.`, { field: 'loop' })
  }
  return raw ? { loop: true } : {}
}

/** @param {unknown} raw @returns {Source | null} */
function sourceOf(raw) {
  if (raw == null) return null
  if (!isObject(raw) || typeof raw.preset !== 'string') {
    throw new TrajectoryError(
      `The camera path's source must be null or {"preset": name, "params": {}}, got ${show(raw)}.`,
      { field: 'source' }
    )
  }
  refuseUnknown(raw, ['preset', 'params'], "The camera path's source", { field: 'source' })
  const preset = presetNamed(raw.preset)
  const params = raw.params ?? {}
  if (!isObject(params)) {
    throw new TrajectoryError(
      `The parameters of the preset '${preset.name}' must be a JSON object, got ${show(params)}.`,
      { field: 'source' }
    )
  }
  return { preset: preset.name, params: checkParams(preset, params) }
}

/** @param {string} name @returns {Preset} */
export function presetNamed(name) {
  const wanted = String(name).trim().toLowerCase().replaceAll('-', '_').replaceAll(' ', '_')
  const found = PRESETS.find((preset) => preset.name === wanted)
  if (!found) {
    const names = PRESETS.map((preset) => preset.name).join(', ')
    throw new TrajectoryError(`There is no camera preset '${String(name).slice(0, 60)}'. Choose one of: ${names}.`, {
      field: 'source'
    })
  }
  return found
}

/** @param {Preset} preset @param {Record<string, unknown>} params @returns {Source['params']} */
function checkParams(preset, params) {
  const where = { field: 'source' }
  const known = [...preset.params.map((param) => param.name), 'ease']
  for (const name of Object.keys(params)) {
    if (!known.includes(name)) {
      throw new TrajectoryError(
        `The preset '${preset.name}' has no parameter '${name}'. It knows: ${known.join(', ')}.`,
        where
      )
    }
  }
  /** @type {Source['params']} */
  const checked = {}
  for (const param of preset.params) {
    const value = params[param.name] === undefined ? param.default : params[param.name]
    checked[param.name] = number(value, `${param.name} of the preset '${preset.name}'`, param.min, param.max, where)
  }
  const ease = params.ease === undefined ? 'linear' : params.ease
  checked.ease = choice(ease, `ease of the preset '${preset.name}'`, EASES, where)
  return checked
}

/** @param {unknown} raw @param {number} frames @returns {Keyframe[]} */
function keyframesOf(raw, frames) {
  if (!Array.isArray(raw))
    throw new TrajectoryError(`The camera path's keyframes must be a list, got ${show(raw)}.`, { field: 'keyframes' })
  const keys = raw.map((key, index) => keyframeOf(key, index, frames))
  for (let i = 1; i < keys.length; i++) {
    if (keys[i].frame <= keys[i - 1].frame) {
      throw new TrajectoryError(
        `Keyframe ${i} is at frame ${keys[i].frame}, not after keyframe ${i - 1} at frame ${keys[i - 1].frame}. ` +
          'Sort the keyframes and keep one a frame.',
        { keyframe: i, field: 'frame' }
      )
    }
  }
  return keys
}

/** @param {unknown} raw @param {number} index @param {number} frames @returns {Keyframe} */
function keyframeOf(raw, index, frames) {
  /** @param {string} [field] */
  const at = (field) => ({ keyframe: index, field })
  if (!isObject(raw)) throw new TrajectoryError(`Keyframe ${index} must be a JSON object, got ${show(raw)}.`, at())
  refuseUnknown(raw, KEY_FIELDS, `Keyframe ${index}`, at())
  const frame = integer(raw.frame, `Keyframe ${index}'s frame`, 0, frames - 1, at('frame'))
  const name = `Keyframe ${index} (frame ${frame})`
  const position = /** @type {Vec3} */ (vector(raw.position, `${name}: position`, 3, 1e9, at('position')))
  if ((raw.target == null) === (raw.quaternion == null)) {
    throw new TrajectoryError(
      `${name} needs either a target or a quaternion, got ${raw.target == null ? 'neither' : 'both'}.`,
      at('target')
    )
  }
  const aim =
    raw.target != null
      ? { target: targetOf(raw.target, position, name, at('target')) }
      : { quaternion: quaternionOf(raw.quaternion, name, at('quaternion')) }
  const given = (/** @type {string} */ field) => (raw[field] === undefined ? KEY_DEFAULTS[field] : raw[field])
  const fov = given('fov')
  const shift = vector(given('lens_shift'), `${name}: lens_shift`, 2, 100, at('lens_shift'))
  return {
    frame,
    ...timeOf(raw, name, at),
    position,
    ...aim,
    roll: number(given('roll'), `${name}: roll`, -36000, 36000, at('roll')),
    fov: fov === null ? null : number(fov, `${name}: fov`, 0.1, 179, at('fov')),
    lens_shift: /** @type {[number, number]} */ (shift),
    ease: choice(given('ease'), `${name}: ease`, EASES, at('ease'))
  }
}

/**
 * @param {Record<string, unknown>} raw @param {string} name @param {(field: string) => Where} at
 * @returns {{time?: number, time_ease?: Ease}}
 */
function timeOf(raw, name, at) {
  const given = raw.time_ease === undefined ? KEY_DEFAULTS.time_ease : raw.time_ease
  const ease = choice(given, `${name}: time_ease`, EASES, at('time_ease'))
  const eased = ease === 'linear' ? {} : { time_ease: ease }
  if (raw.time != null) return { time: number(raw.time, `${name}: time`, 0, MAX_FRAMES - 1, at('time')), ...eased }
  if (ease === 'linear') return {}
  throw new TrajectoryError(
    `${name}: time_ease is of the way to its time, and it has none. Give it a time, or leave it out.`,
    at('time_ease')
  )
}

/** @param {unknown} raw @param {Vec3} position @param {string} name @param {Where} where @returns {Vec3} */
function targetOf(raw, position, name, where) {
  const target = /** @type {Vec3} */ (vector(raw, `${name}: target`, 3, 1e9, where))
  if (length(sub(target, position)) < SHORTEST) {
    throw new TrajectoryError(
      `${name}: position and target are the same point ${show(position)}. Move one of them.`,
      where
    )
  }
  return target
}

/** @param {unknown} raw @param {string} name @param {Where} where @returns {Quat} of length 1 */
function quaternionOf(raw, name, where) {
  const q = vector(raw, `${name}: quaternion`, 4, 1e9, where)
  const norm = Math.hypot(...q)
  if (norm < 1e-6) {
    throw new TrajectoryError(
      `${name}: quaternion has no length, so it is no orientation. The source camera's is [1, 0, 0, 0].`,
      where
    )
  }
  return /** @type {Quat} */ (Math.abs(norm - 1) < 1e-12 ? q : q.map((v) => v / norm))
}

/** @param {unknown} value @returns {value is Record<string, unknown>} */
const isObject = (value) => typeof value === 'object' && value !== null && !Array.isArray(value)

/** @param {unknown} value @param {string} name @param {number} low @param {number} high @param {Where} where */
function number(value, name, low, high, where) {
  if (typeof value !== 'number' || !Number.isFinite(value)) {
    throw new TrajectoryError(`${name} must be a finite number, got ${show(value)}.`, where)
  }
  if (value < low || value > high)
    throw new TrajectoryError(`${name} must lie between ${low} and ${high}, got ${value}.`, where)
  return value
}

/** @param {unknown} value @param {string} name @param {number} low @param {number} high @param {Where} where */
function integer(value, name, low, high, where) {
  if (!Number.isInteger(value)) throw new TrajectoryError(`${name} must be a whole number, got ${show(value)}.`, where)
  return number(value, name, low, high, where)
}

/**
 * @param {unknown} value @param {string} name @param {number} size @param {number} bound @param {Where} where
 * @returns {number[]}
 */
function vector(value, name, size, bound, where) {
  if (!Array.isArray(value) || value.length !== size) {
    throw new TrajectoryError(`${name} must be a list of ${size} numbers, got ${show(value)}.`, where)
  }
  return value.map((v, i) => number(v, `${name}[${i}]`, -bound, bound, where))
}

/**
 * @template {string} T
 * @param {unknown} value @param {string} name @param {readonly T[]} choices @param {Where} where @returns {T}
 */
function choice(value, name, choices, where) {
  const found = choices.find((each) => each === value)
  if (found === undefined)
    throw new TrajectoryError(`${name} must be one of ${choices.join(', ')}, got ${show(value)}.`, where)
  return found
}

/** @param {object} raw @param {string[]} known @param {string} name @param {Where} where */
function refuseUnknown(raw, known, name, where) {
  const unknown = Object.keys(raw).find((key) => !known.includes(key))
  if (unknown !== undefined) {
    throw new TrajectoryError(`${name} has an unknown field '${unknown}'. Known fields: ${known.join(', ')}.`, where)
  }
}

/** A value in an error's sentence, cut where it is long. @param {unknown} value */
export function show(value) {
  if (value == null) return 'nothing'
  const text = typeof value === 'number' ? String(value) : (JSON.stringify(value) ?? String(value))
  return text.length <= 60 ? text : `${text.slice(0, 57)}...`
}

/**
 * The document that asks for a preset.
 * @param {string} name
 * @param {{frames?: number, fps?: number, radius?: number, pivot?: ArrayLike<number> | null, width?: number | null,
 *   height?: number | null, interpolation?: Interpolation, frame_of_reference?: 'source' | 'world', loop?: boolean,
 *   params?: Record<string, unknown>}} [options]
 * @returns {PathDocument}
 */
export function presetDocument(name, options = {}) {
  const { frames = 49, fps = 15, radius = DEFAULT_RADIUS, pivot, width = null, height = null } = options
  return parseDocument({
    version: VERSION,
    frames,
    fps,
    width,
    height,
    interpolation: options.interpolation ?? 'catmull-rom',
    pivot: pivot ? Array.from(pivot) : [0, 0, radius],
    radius,
    frame_of_reference: options.frame_of_reference,
    loop: options.loop,
    source: { preset: name, params: options.params ?? {} },
    keyframes: []
  })
}
