// The camera path in the browser: checks, evaluates and bakes the trajectory document (one JSON string, the editor's
// only truth). The twin of ex4d_core/trajectory; tests/golden/trajectory.json holds the two together. No side effects.
//
//   presetDocument / JSON -> parseDocument -> evaluateDocument -> one pose and lens a frame
//
// World and camera are OpenCV: x right, y down, z forward; the source camera is the identity.

import { length, normalize, radians, sub } from './math.js'
import {
  carryRight,
  matrixFromQuaternion,
  poseFrom,
  quaternionFromMatrix,
  rolled,
  rotationFromAxes,
  slerp,
  verticalFov
} from './poses.js'
import { EASES, PRESETS } from './presets.js'

export { EASES, PRESETS }

/** @typedef {import("./math.js").Vec3} Vec3 */
/** @typedef {import("./poses.js").Quat} Quat */
/** @typedef {import("./poses.js").Mat3} Mat3 */
/** @typedef {import("./math.js").Intrinsics} Intrinsics */
/** @typedef {import("./presets.js").Preset} Preset */
/** @typedef {import("./presets.js").Shot} Shot */
/**
 * @typedef {object} Keyframe
 * @property {number} frame
 * @property {Vec3} position world
 * @property {Vec3} [target] world; a keyframe has a target or a quaternion
 * @property {Quat} [quaternion] camera-to-world
 * @property {number} roll degrees, clockwise for the operator
 * @property {number | null} fov vertical degrees; null = the scene's
 * @property {[number, number]} lens_shift shares of width and height
 * @property {string} ease time warp of the segment that ends here
 */
/**
 * @typedef {object} Document
 * @property {number} version
 * @property {number} frames
 * @property {number} fps
 * @property {number | null} width
 * @property {number | null} height
 * @property {string} interpolation
 * @property {Vec3} pivot
 * @property {number} radius
 * @property {{preset: string, params: Record<string, any>} | null} source
 * @property {Keyframe[]} keyframes
 */
/** @typedef {{radius?: number, pivot?: ArrayLike<number> | null, intrinsics?: Intrinsics | null}} Scene what the connected mesh tells */
/**
 * @typedef {object} Evaluated one entry a time
 * @property {number[]} times frames
 * @property {Float64Array[]} worldToCamera sixteen numbers, row by row
 * @property {Vec3[]} position
 * @property {Mat3[]} rotation camera-to-world, nine numbers row by row, roll included
 * @property {number[] | null} fov
 * @property {[number, number][]} lensShift
 * @property {Intrinsics[] | null} intrinsics null where neither path nor scene tells the lens
 */

export const VERSION = 1
export const INTERPOLATIONS = ['linear', 'smooth', 'catmull-rom']
export const MAX_FRAMES = 10000
export const DEFAULT_RADIUS = 10000 / 3900 + 0.15
export const BAKE_TOLERANCE = 0.02
const SHORTEST = 1e-9
const TOP_FIELDS = [
  'version',
  'frames',
  'fps',
  'width',
  'height',
  'interpolation',
  'pivot',
  'radius',
  'source',
  'keyframes'
]
const KEY_FIELDS = ['frame', 'position', 'target', 'quaternion', 'roll', 'fov', 'lens_shift', 'ease']

/** An error whose message is a sentence for the artist; tells the keyframe and field where one is to blame. */
export class TrajectoryError extends Error {
  /** @param {string} message @param {{keyframe?: number, field?: string}} [where] */
  constructor(message, where = {}) {
    super(message)
    this.name = 'TrajectoryError'
    this.keyframe = where.keyframe
    this.field = where.field
  }
}

// ---------------------------------------------------------------------------------------------------- checks

/**
 * Reads and checks a document. Returns a new object with every field present.
 * @param {string | object} textOrDocument
 * @returns {Document}
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
  /** @type {Document} */
  const document = {
    version: VERSION,
    frames,
    fps: number(raw.fps === undefined ? 15 : raw.fps, `${path} fps`, 1e-3, 1000, { field: 'fps' }),
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

/** @param {string} text @returns {any} */
function parsed(text) {
  try {
    return JSON.parse(text)
  } catch (error) {
    throw new TrajectoryError(
      `The camera path is not valid JSON: ${error instanceof Error ? error.message : error}. Paste it as the editor wrote it.`
    )
  }
}

/** @param {any} raw @returns {Document["source"]} */
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
  const params = raw.params || {}
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

/** @param {Preset} preset @param {Record<string, any>} params @returns {Record<string, any>} */
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
  /** @type {Record<string, any>} */
  const checked = {}
  for (const param of preset.params) {
    const value = params[param.name] === undefined ? param.default : params[param.name]
    checked[param.name] = number(value, `${param.name} of the preset '${preset.name}'`, param.min, param.max, where)
  }
  const ease = params.ease === undefined ? 'linear' : params.ease
  checked.ease = choice(ease, `ease of the preset '${preset.name}'`, EASES, where)
  return checked
}

/** @param {any} raw @param {number} frames @returns {Keyframe[]} */
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

/** @param {any} raw @param {number} index @param {number} frames @returns {Keyframe} */
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
  /** @type {any} */
  const key = { frame, position }
  if (raw.target != null) {
    key.target = vector(raw.target, `${name}: target`, 3, 1e9, at('target'))
    if (length(sub(key.target, position)) < SHORTEST) {
      throw new TrajectoryError(
        `${name}: position and target are the same point ${show(position)}. Move one of them.`,
        at('target')
      )
    }
  } else {
    const q = vector(raw.quaternion, `${name}: quaternion`, 4, 1e9, at('quaternion'))
    const norm = Math.hypot(...q)
    if (norm < 1e-6) {
      throw new TrajectoryError(
        `${name}: quaternion has no length, so it is no orientation. The source camera's is [1, 0, 0, 0].`,
        at('quaternion')
      )
    }
    key.quaternion = Math.abs(norm - 1) < 1e-12 ? q : q.map((v) => v / norm)
  }
  key.roll = number(raw.roll === undefined ? 0 : raw.roll, `${name}: roll`, -36000, 36000, at('roll'))
  key.fov = raw.fov == null ? null : number(raw.fov, `${name}: fov`, 0.1, 179, at('fov'))
  key.lens_shift = vector(
    raw.lens_shift === undefined ? [0, 0] : raw.lens_shift,
    `${name}: lens_shift`,
    2,
    100,
    at('lens_shift')
  )
  key.ease = choice(raw.ease === undefined ? 'linear' : raw.ease, `${name}: ease`, EASES, at('ease'))
  return key
}

/** @param {any} value @returns {value is Record<string, any>} */
const isObject = (value) => typeof value === 'object' && value !== null && !Array.isArray(value)

/** @param {any} value @param {string} name @param {number} low @param {number} high @param {object} where */
function number(value, name, low, high, where) {
  if (typeof value !== 'number' || !Number.isFinite(value)) {
    throw new TrajectoryError(`${name} must be a finite number, got ${show(value)}.`, where)
  }
  if (value < low || value > high)
    throw new TrajectoryError(`${name} must lie between ${low} and ${high}, got ${value}.`, where)
  return value
}

/** @param {any} value @param {string} name @param {number} low @param {number} high @param {object} where */
function integer(value, name, low, high, where) {
  if (!Number.isInteger(value)) throw new TrajectoryError(`${name} must be a whole number, got ${show(value)}.`, where)
  return number(value, name, low, high, where)
}

/** @param {any} value @param {string} name @param {number} size @param {number} bound @param {object} where @returns {number[]} */
function vector(value, name, size, bound, where) {
  if (!Array.isArray(value) || value.length !== size) {
    throw new TrajectoryError(`${name} must be a list of ${size} numbers, got ${show(value)}.`, where)
  }
  return value.map((v, i) => number(v, `${name}[${i}]`, -bound, bound, where))
}

/** @param {any} value @param {string} name @param {string[]} choices @param {object} where @returns {string} */
function choice(value, name, choices, where) {
  if (!choices.includes(value))
    throw new TrajectoryError(`${name} must be one of ${choices.join(', ')}, got ${show(value)}.`, where)
  return value
}

/** @param {object} raw @param {string[]} known @param {string} name @param {object} where */
function refuseUnknown(raw, known, name, where) {
  const unknown = Object.keys(raw).find((key) => !known.includes(key))
  if (unknown !== undefined) {
    throw new TrajectoryError(`${name} has an unknown field '${unknown}'. Known fields: ${known.join(', ')}.`, where)
  }
}

/** @param {any} value */
function show(value) {
  if (value == null) return 'nothing'
  const text = typeof value === 'number' ? String(value) : (JSON.stringify(value) ?? String(value))
  return text.length <= 60 ? text : `${text.slice(0, 57)}...`
}

// ---------------------------------------------------------------------------------------------------- documents

/**
 * The document that asks for a preset.
 * @param {string} name
 * @param {{frames?: number, fps?: number, radius?: number, pivot?: ArrayLike<number> | null, width?: number | null,
 *   height?: number | null, interpolation?: string, params?: Record<string, any>}} [options]
 * @returns {Document}
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
    source: { preset: name, params: options.params ?? {} },
    keyframes: []
  })
}

// ---------------------------------------------------------------------------------------------------- evaluation

/**
 * Poses and lenses of a path.
 * @param {string | object} document checked first
 * @param {Scene | null} [scene] its lens is inherited where the path leaves it open
 * @param {number[] | null} [times] increasing frames, may be fractional; null = every frame
 * @returns {Evaluated}
 */
export function evaluateDocument(document, scene = null, times = null) {
  const doc = parseDocument(document)
  const lens = scene?.intrinsics ?? null
  const last = doc.frames - 1
  const wanted = times ?? Array.from({ length: last + 1 }, (_, i) => i)
  const walk = merged(steps(last), wanted)
  const along = walked(doc, walk, lens)
  /** @type {Evaluated} */
  const result = {
    times: wanted,
    worldToCamera: [],
    position: [],
    rotation: [],
    fov: along.fov ? [] : null,
    lensShift: [],
    intrinsics: null
  }
  let i = 0
  for (const time of wanted) {
    while (walk[i] < time) i++
    const rotation = rolled(along.rotation[i], along.roll[i])
    result.position.push(along.position[i])
    result.rotation.push(rotation)
    result.worldToCamera.push(poseFrom(rotation, along.position[i]))
    result.lensShift.push(along.shift[i])
    if (along.fov) result.fov?.push(along.fov[i])
  }
  result.intrinsics = lenses(doc, result.fov, result.lensShift, lens)
  return result
}

/** Every frame and evenly many times between: at least 128 steps, at least 2 a frame. @param {number} last */
function steps(last) {
  if (last === 0) return [0]
  const within = Math.max(2, Math.ceil(128 / last))
  return Array.from({ length: last * within + 1 }, (_, i) => i / within)
}

/** Both lists as one, increasing, without doubles. @param {number[]} a @param {number[]} b */
function merged(a, b) {
  const all = [...a, ...b].sort((x, y) => x - y)
  return all.filter((value, i) => i === 0 || value !== all[i - 1])
}

/**
 * @param {Document} doc @param {number[]} times @param {Intrinsics | null} lens
 * @returns {{position: Vec3[], rotation: Mat3[], roll: number[], fov: number[] | null, shift: [number, number][]}}
 */
function walked(doc, times, lens) {
  if (doc.source) {
    const shots = presetShots(doc, times)
    const position = shots.map((s) => s.position)
    const rotation = level(
      position,
      shots.map((s) => s.target),
      times
    )
    return { position, rotation, roll: shots.map((s) => s.roll), fov: null, shift: times.map(() => [0, 0]) }
  }
  const keys = doc.keyframes
  const keyTimes = keys.map((key) => key.frame)
  const at = segmentsOf(
    times,
    keyTimes,
    keys.map((key) => key.ease)
  )
  /** @param {number[][]} values @param {string} [mode] */
  const along = (values, mode = doc.interpolation) => curve(at.segment, at.share, keyTimes, values, mode)
  // A curve that overshoots could leave the range of possible lenses.
  const fovMode = doc.interpolation === 'catmull-rom' ? 'smooth' : doc.interpolation
  const position = /** @type {Vec3[]} */ (along(keys.map((key) => key.position)))
  const rotation = keyedRotation(doc, times, keyTimes, at, position)
  const fovs = keyFovs(keys, sceneLens(doc, lens))
  return {
    position,
    rotation,
    roll: along(keys.map((key) => [key.roll])).map((v) => v[0]),
    fov:
      fovs &&
      along(
        fovs.map((fov) => [fov]),
        fovMode
      ).map((v) => v[0]),
    shift: /** @type {[number, number][]} */ (along(keys.map((key) => key.lens_shift)))
  }
}

/** Positions and targets of a document's preset. @param {Document} doc @param {number[]} times @returns {Shot[]} */
export function presetShots(doc, times) {
  if (!doc.source) return []
  const preset = presetNamed(doc.source.preset)
  const { params } = doc.source
  return progressAt(times, doc.frames - 1, preset.turns, params.ease).map((u) =>
    preset.formula(u, params, doc.radius, doc.pivot)
  )
}

/** Whole frames of a preset's sharp turns. @param {number[]} turns @param {number} last */
const turnFrames = (turns, last) => turns.map((turn) => Math.max(0, Math.min(Math.floor(turn * last + 0.5), last - 1)))

/** @param {number[]} times @param {number} last @param {number[]} turns @param {string} ease */
function progressAt(times, last, turns, ease) {
  if (last === 0) return times.map(() => 0)
  const progress = [0, ...turns, 1]
  const frames = [0, ...turnFrames(turns, last), last]
  return times.map((time) => {
    let value = 0
    for (let i = 0; i + 1 < frames.length; i++) {
      if (frames[i + 1] > frames[i] && time >= frames[i] && time <= frames[i + 1]) {
        const share = eased((time - frames[i]) / (frames[i + 1] - frames[i]), ease)
        value = progress[i] + (progress[i + 1] - progress[i]) * share
      }
    }
    return value
  })
}

/** @param {Vec3[]} position @param {Vec3[]} target @param {number[]} times @returns {Mat3[]} */
function level(position, target, times) {
  const forward = position.map((p, i) => {
    const direction = sub(target[i], p)
    if (length(direction) < SHORTEST) {
      throw new TrajectoryError(
        `At frame ${times[i]} the camera is exactly at its target, so it has no direction to look in. ` +
          'Move the keyframes around it so that the path passes beside the target.'
      )
    }
    return normalize(direction)
  })
  const rights = carryRight(forward)
  return forward.map((f, i) => rotationFromAxes(rights[i], f))
}

/**
 * @param {Document} doc @param {number[]} times @param {number[]} keyTimes
 * @param {{segment: number[], share: number[]}} at @param {Vec3[]} position @returns {Mat3[]}
 */
function keyedRotation(doc, times, keyTimes, at, position) {
  const keys = doc.keyframes
  const aims = keys.map((key) => key.target !== undefined)
  /** @type {Mat3[]} */
  const rotation = new Array(times.length)
  const starts = keys.map((_, i) => i).filter((i) => i === 0 || aims[i] !== aims[i - 1])
  const ends = [...starts.slice(1).map((i) => i - 1), keys.length - 1]
  starts.forEach((first, run) => {
    const final = ends[run]
    const inside = times
      .map((_, i) => i)
      .filter(
        (i) =>
          (times[i] >= keyTimes[first] || first === 0) && (times[i] <= keyTimes[final] || final === keys.length - 1)
      )
    const highest = Math.max(final - first - 1, 0)
    const local = inside.map((i) => Math.min(Math.max(at.segment[i] - first, 0), highest))
    const share = inside.map((i, n) => (at.segment[i] - first > local[n] ? 1 : at.share[i]))
    const runKeys = keys.slice(first, final + 1)
    const runTimes = keyTimes.slice(first, final + 1)
    /** @type {Mat3[]} */
    let found
    if (aims[first]) {
      const targets = curve(
        local,
        share,
        runTimes,
        runKeys.map((key) => key.target ?? [0, 0, 0]),
        doc.interpolation
      )
      found = level(
        inside.map((i) => position[i]),
        /** @type {Vec3[]} */ (targets),
        inside.map((i) => times[i])
      )
    } else {
      const quaternions = runKeys.map((key) => key.quaternion ?? [1, 0, 0, 0])
      found = turned(local, share, runTimes, quaternions, doc.interpolation).map(matrixFromQuaternion)
    }
    inside.forEach((i, n) => (rotation[i] = found[n]))
  })
  for (const final of ends.slice(0, -1)) {
    const start = quaternionFromMatrix(rotation[times.indexOf(keyTimes[final])])
    const end = quaternionFromMatrix(rotation[times.indexOf(keyTimes[final + 1])])
    times.forEach((time, i) => {
      if (time > keyTimes[final] && time < keyTimes[final + 1])
        rotation[i] = matrixFromQuaternion(slerp(start, end, at.share[i]))
    })
  }
  return rotation
}

/** @param {number[]} at @param {number[]} share @param {number[]} keyTimes @param {number[][]} quaternions @param {string} mode */
function turned(at, share, keyTimes, quaternions, mode) {
  if (quaternions.length === 1) return at.map(() => quaternions[0])
  const aligned = [quaternions[0]]
  for (let i = 1; i < quaternions.length; i++) {
    const [a, b] = [quaternions[i], aligned[i - 1]]
    const same = a[0] * b[0] + a[1] * b[1] + a[2] * b[2] + a[3] * b[3] >= 0
    aligned.push(same ? a : a.map((v) => -v))
  }
  if (mode === 'linear') return at.map((k, i) => slerp(aligned[k], aligned[k + 1], share[i]))
  return curve(at, share, keyTimes, aligned, mode)
}

// ---------------------------------------------------------------------------------------------------- curves

/** @param {number} u @param {string} ease */
export function eased(u, ease) {
  if (ease === 'in') return u * u
  if (ease === 'out') return u * (2 - u)
  if (ease === 'in-out') return u * u * (3 - 2 * u)
  return u
}

/** @param {number[]} times @param {number[]} keyTimes @param {string[]} eases */
function segmentsOf(times, keyTimes, eases) {
  /** @type {number[]} */
  const segment = []
  /** @type {number[]} */
  const share = []
  let i = 0
  for (const time of times) {
    while (i < keyTimes.length - 2 && time >= keyTimes[i + 1]) i++
    segment.push(i)
    if (keyTimes.length === 1) {
      share.push(0)
      continue
    }
    const u = Math.min(1, Math.max(0, (time - keyTimes[i]) / (keyTimes[i + 1] - keyTimes[i])))
    share.push(eased(u, eases[i + 1]))
  }
  return { segment, share }
}

/** Slopes at the keys, per frame; see ex4d_core/trajectory/curves.py. @param {number[]} t @param {number[][]} values @param {string} mode @returns {number[][]} */
function tangents(t, values, mode) {
  const last = values.length - 1
  const secant = values.slice(1).map((v, i) => v.map((x, c) => (x - values[i][c]) / (t[i + 1] - t[i])))
  if (last === 1) return [secant[0], secant[0]]
  const slope = values.map((v, i) => {
    if (i === 0 || i === last) return v
    const [h0, h1] = [t[i] - t[i - 1], t[i + 1] - t[i]]
    return v.map((_, c) => (h1 * secant[i - 1][c] + h0 * secant[i][c]) / (h1 + h0))
  })
  slope[0] = secant[0].map((s, c) => 2 * s - slope[1][c])
  slope[last] = secant[last - 1].map((s, c) => 2 * s - slope[last - 1][c])
  if (mode !== 'smooth') return slope
  return slope.map((v, i) =>
    v.map((x, c) => {
      const before = secant[Math.max(i - 1, 0)][c]
      const after = secant[Math.min(i, last - 1)][c]
      if (before * after <= 0 || x * before < 0) return 0
      const bound = 3 * Math.min(Math.abs(before), Math.abs(after))
      return Math.min(bound, Math.max(-bound, x))
    })
  )
}

/**
 * Values between keys.
 * @param {number[]} segment @param {number[]} share @param {number[]} keyTimes @param {number[][]} values @param {string} mode
 * @returns {number[][]}
 */
function curve(segment, share, keyTimes, values, mode) {
  if (values.length === 1) return segment.map(() => [...values[0]])
  if (mode === 'linear') {
    return segment.map((k, i) => values[k].map((a, c) => a + (values[k + 1][c] - a) * share[i]))
  }
  const slope = tangents(keyTimes, values, mode)
  return segment.map((k, i) => {
    const u = share[i]
    const [u2, u3, width] = [u * u, u * u * u, keyTimes[k + 1] - keyTimes[k]]
    return values[k].map(
      (a, c) =>
        a +
        (values[k + 1][c] - a) * (3 * u2 - 2 * u3) +
        width * (slope[k][c] * (u3 - 2 * u2 + u) + slope[k + 1][c] * (u3 - u2))
    )
  })
}

// ---------------------------------------------------------------------------------------------------- lenses

/** @param {Keyframe[]} keys @param {Intrinsics | null} lens @returns {number[] | null} */
function keyFovs(keys, lens) {
  if (keys.every((key) => key.fov === null)) return null
  if (!lens && keys.some((key) => key.fov === null)) return null
  return keys.map((key) => key.fov ?? (lens ? verticalFov(lens) : 0))
}

/** The scene's lens at the document's size. @param {Document} doc @param {Intrinsics | null} lens @returns {Intrinsics | null} */
function sceneLens(doc, lens) {
  const { width, height } = doc
  if (!lens || width === null || height === null) return lens
  if (Math.abs(width * lens.height - height * lens.width) <= Math.max(width, height, lens.width, lens.height)) {
    const [sx, sy] = [width / lens.width, height / lens.height]
    return { fx: lens.fx * sx, fy: lens.fy * sy, cx: lens.cx * sx, cy: lens.cy * sy, width, height }
  }
  const focal = height / 2 / Math.tan(radians(verticalFov(lens)) / 2)
  return { fx: focal, fy: focal, cx: width / 2, cy: height / 2, width, height }
}

/** @param {Document} doc @param {number[] | null} fov @param {[number, number][]} shift @param {Intrinsics | null} scene @returns {Intrinsics[] | null} */
function lenses(doc, fov, shift, scene) {
  let base = sceneLens(doc, scene)
  if (!base) {
    if (!fov || doc.width === null || doc.height === null) return null
    const focal = (500 / 512) * doc.width
    base = { fx: focal, fy: focal, cx: doc.width / 2, cy: doc.height / 2, width: doc.width, height: doc.height }
  }
  const { fx, fy, cx, cy, width, height } = base
  return shift.map(([sx, sy], i) => {
    const y = fov ? height / 2 / Math.tan(radians(fov[i]) / 2) : fy
    return { fx: (y * fx) / fy, fy: y, cx: cx + sx * width, cy: cy + sy * height, width, height }
  })
}

// ---------------------------------------------------------------------------------------------------- baking

/**
 * Turns a preset into a few keyframes that can be edited; a document without a source is returned as it is.
 * @param {string | object} document
 * @param {Scene | null} [scene] not needed, taken for symmetry with evaluateDocument
 * @param {number} [tolerance] share of the radius and radians; 0 = a key on every frame
 * @returns {Document}
 */
export function bakeDocument(document, scene = null, tolerance = BAKE_TOLERANCE) {
  const doc = parseDocument(document)
  if (!doc.source) return doc
  const last = doc.frames - 1
  const exact = evaluateDocument(doc)
  const shots = presetShots(doc, exact.times)
  const frames = new Set(
    tolerance > 0 ? [0, last, ...turnFrames(presetNamed(doc.source.preset).turns, last)] : exact.times
  )
  for (;;) {
    const keys = [...frames].sort((a, b) => a - b)
    const baked = { ...doc, source: null, keyframes: keys.map((frame) => targetKey(shots[frame], frame)) }
    const split = tolerance > 0 ? offStretches(baked, exact, keys, tolerance * doc.radius, tolerance) : []
    if (!split.length) return baked
    split.forEach((frame) => frames.add(frame))
  }
}

/** @param {Shot} shot @param {number} frame @returns {Keyframe} */
const targetKey = (shot, frame) => ({
  frame,
  position: [...shot.position],
  target: [...shot.target],
  roll: shot.roll,
  fov: null,
  lens_shift: [0, 0],
  ease: 'linear'
})

/** Middles of the stretches between keys where the baked path leaves the exact one. @param {Document} baked @param {Evaluated} exact @param {number[]} keys @param {number} distance @param {number} angle @returns {number[]} */
function offStretches(baked, exact, keys, distance, angle) {
  /** @type {Evaluated | null} */
  let tried = null
  try {
    tried = evaluateDocument(baked)
  } catch (error) {
    if (!(error instanceof TrajectoryError)) throw error
  }
  const most = 2 * Math.SQRT2 * Math.sin(angle / 2)
  const found = []
  for (let k = 0; k + 1 < keys.length; k++) {
    const [a, b] = [keys[k], keys[k + 1]]
    if (b - a < 2) continue
    let off = !tried
    for (let i = a; tried && i <= b && !off; i++) {
      const turn = Math.sqrt(
        exact.rotation[i].reduce((sum, v, n) => sum + (v - /** @type {Evaluated} */ (tried).rotation[i][n]) ** 2, 0)
      )
      off = length(sub(tried.position[i], exact.position[i])) > distance || turn > most
    }
    if (off) found.push(Math.floor((a + b) / 2))
  }
  return found
}

/**
 * The same path over another number of frames. Keyframes move to the nearest frame; where two would fall together, the
 * path gets a key on every frame instead.
 * @param {string | object} document
 * @param {number} frames
 * @returns {Document}
 */
export function resampleDocument(document, frames) {
  const doc = parseDocument(document)
  if (!Number.isInteger(frames) || frames < 1 || frames > MAX_FRAMES) {
    throw new TrajectoryError(`A camera path has 1 to ${MAX_FRAMES} frames, got ${show(frames)}.`, { field: 'frames' })
  }
  const [last, newLast] = [doc.frames - 1, frames - 1]
  if (last === newLast || !doc.keyframes.length) return { ...doc, frames }
  const factor = last ? newLast / last : 0
  const moved = doc.keyframes.map((key) => Math.floor(key.frame * factor + 0.5))
  if (new Set(moved).size === moved.length) {
    return { ...doc, frames, keyframes: doc.keyframes.map((key, i) => ({ ...key, frame: moved[i] })) }
  }
  if (doc.source) return { ...doc, frames, keyframes: [] }
  const whole = evaluateDocument(
    doc,
    null,
    Array.from({ length: frames }, (_, i) => (newLast ? (i * last) / newLast : 0))
  )
  /** @type {Keyframe[]} */
  const keyframes = whole.position.map((position, frame) => ({
    frame,
    position,
    quaternion: quaternionFromMatrix(whole.rotation[frame]),
    roll: 0,
    fov: whole.fov ? whole.fov[frame] : null,
    lens_shift: whole.lensShift[frame],
    ease: 'linear'
  }))
  return { ...doc, frames, keyframes }
}
