// Camera presets as formulas of progress; the twin of ex4d_core/trajectory/presets.py. No side effects.

import { add, radians } from './math.js'

/** @import { Vec3 } from './math.js' */
/** @typedef {{name: string, default: number, min: number, max: number, unit: string, description: string}} Param */
/** @typedef {{position: Vec3, target: Vec3, roll: number}} Shot */
/** @typedef {(typeof EASES)[number]} Ease */
/** @typedef {Record<string, number>} Values of the parameters, by name */
/** @typedef {(u: number, p: Values, r: number, pivot: Vec3) => Shot} Formula of progress 0..1, parameters and radius */
/** @typedef {[frame: number, progress: number, time: number]} Stop frame of the path, and what is reached there */
/** @typedef {(p: Values, last: number) => Stop[]} Schedule of a preset that bends time: its stops, from 0 to the last frame */
/**
 * @typedef {{name: string, label: string, params: Param[], turns: number[], formula: Formula, schedule?: Schedule}} Preset
 */

/** Time warps of a segment. */
export const EASES = /** @type {const} */ (['linear', 'in', 'out', 'in-out'])
const RISE = 0.2

/** @param {Vec3} position @param {Vec3} target @param {number} [roll] @returns {Shot} */
const shot = (position, target, roll = 0) => ({ position, target, roll })

/** @param {Vec3} position @param {number} radius @param {number} [roll] */
const ahead = (position, radius, roll = 0) => shot(position, add(position, [0, 0, radius]), roll)

/** @param {number} angle @returns {Formula} */
const publishedOrbit = (angle) => (u, _p, r) => {
  const phi = radians(angle) * u
  const lift = Math.abs(Math.cos(phi))
  return shot([r * Math.sin(phi), RISE * r * (lift - 1), r - r * lift], [0, 0, r])
}

/** The point on the source's axis that stays in sight, from the pivot's depth. @param {Vec3} pivot @param {number} r */
const reachOf = (pivot, r) => (pivot[2] > 1e-6 * r ? pivot[2] : r) - pivot[2]

/** @param {number} phi @param {Values} p @param {number} r @param {Vec3} pivot @returns {Shot} */
function orbitAt(phi, p, r, pivot) {
  const [s, c, reach] = [Math.sin(phi), Math.cos(phi), reachOf(pivot, r)]
  const [x, , z] = pivot
  return shot(
    [x - x * c + z * s, p.rise * r * (c - 1), z - x * s - z * c],
    [x - x * c - reach * s, 0, z - x * s + reach * c]
  )
}

/** @type {Formula} */
function arcOver(u, p, r, pivot) {
  const phi = radians(p.angle) * u
  const [s, c, reach] = [Math.sin(phi), Math.cos(phi), reachOf(pivot, r)]
  const [, y, z] = pivot
  return shot([0, y - y * c - z * s, z + y * s - z * c], [0, y - y * c + reach * s, z + y * s + reach * c])
}

/** @param {Shot} s @param {number} follow @param {number} radius */
function following(s, follow, radius) {
  const [x, y, z] = s.target
  return shot(s.position, [x - follow * x, y - follow * y, z + follow * (radius - z)], s.roll)
}

/** @type {Schedule} */
function bulletTime(p, last) {
  const begin = Math.min(whole(p.freeze), last)
  const end = Math.min(begin + whole(p.hold), last)
  const around = end > begin ? 1 : 0
  /** @type {Stop[]} */
  const stops = [
    [0, 0, 0],
    [begin, 0, begin],
    [end, around, begin],
    [last, around, begin + last - end]
  ]
  return stops.filter(([frame], i) => i + 1 === stops.length || stops[i + 1][0] > frame)
}

/** @param {number} value */
const whole = (value) => Math.floor(value + 0.5)

/**
 * Length of a path that shows a clip once, at its own speed: with bullet time, the frozen frames come on top.
 * @param {Preset} preset @param {Record<string, unknown>} params @param {number} clipFrames
 */
export function framesFor(preset, params, clipFrames) {
  if (!preset.schedule) return clipFrames
  return clipFrames + whole(Number(params.hold ?? preset.params.find(({ name }) => name === 'hold')?.default))
}

/** @param {number} value @param {string} description @returns {Param} */
const angle = (value, description) => ({
  name: 'angle',
  default: value,
  min: -3600,
  max: 3600,
  unit: 'deg',
  description
})
/**
 * @param {string} name
 * @param {number} value
 * @param {number} min
 * @param {number} max
 * @param {string} unit
 * @param {string} description
 * @returns {Param}
 */
const param = (name, value, min, max, unit, description) => ({ name, default: value, min, max, unit, description })

const RISE_PARAM = param(
  'rise',
  RISE,
  -5,
  5,
  'radius',
  'How far the camera climbs by the time it has gone 90 degrees around.'
)
const FOLLOW = param('follow', 0, 0, 1, '', '0 keeps looking straight ahead, 1 keeps the middle of the scene centred.')

/**
 * @param {string} name
 * @param {string} label
 * @param {Param[]} params
 * @param {Formula} formula
 * @param {number[]} [turns]
 * @returns {Preset}
 */
const preset = (name, label, params, formula, turns = []) => ({ name, label, params, turns, formula })

/** @type {Preset[]} */
export const PRESETS = [
  preset('30', 'Published 30° right', [], publishedOrbit(30)),
  preset('60', 'Published 60° right', [], publishedOrbit(60)),
  preset('90', 'Published 90° right', [], publishedOrbit(90)),
  preset('180', 'Published 180: right, left and back', [], (u, _p, r) => {
    const phi = 2 * Math.PI * u
    return shot([r * Math.sin(phi), RISE * r * (Math.cos(phi) - 1), 0], [0, 0, r])
  }),
  preset('zoom_in', 'Published zoom in', [], (u, _p, r) => ahead([0, 0, 0.5 * r * u], r)),
  preset('zoom_out', 'Published zoom out', [], (u, _p, r) => ahead([0, 0, -0.5 * r * u], r)),
  preset(
    'orbit',
    'Orbit',
    [angle(90, 'How far around; positive to the right, negative to the left.'), RISE_PARAM],
    (u, p, r, pivot) => orbitAt(radians(p.angle) * u, p, r, pivot)
  ),
  preset(
    'sweep',
    'Full sweep: left, then right',
    [angle(90, 'How far to the left first, and to the right at the end.'), RISE_PARAM],
    (u, p, r, pivot) => orbitAt(radians(p.angle) * (u <= 1 / 3 ? -3 * u : 3 * u - 2), p, r, pivot),
    [1 / 3]
  ),
  preset('dolly', 'Dolly', [param('distance', 0.5, -10, 10, 'radius', 'Forward; negative backward.')], (u, p, r) =>
    ahead([0, 0, p.distance * r * u], r)
  ),
  preset(
    'truck',
    'Truck',
    [param('distance', 0.5, -10, 10, 'radius', 'To the right; negative left.'), FOLLOW],
    (u, p, r) => following(ahead([p.distance * r * u, 0, 0], r), p.follow, r)
  ),
  preset('crane', 'Crane', [param('distance', 0.5, -10, 10, 'radius', 'Up; negative down.'), FOLLOW], (u, p, r) =>
    following(ahead([0, -p.distance * r * u, 0], r), p.follow, r)
  ),
  preset('pan', 'Pan', [angle(30, 'Turns right; negative left.')], (u, p, r) => {
    const a = radians(p.angle) * u
    return shot([0, 0, 0], [r * Math.sin(a), 0, r * Math.cos(a)])
  }),
  preset('tilt', 'Tilt', [angle(20, 'Turns up; negative down.')], (u, p, r) => {
    const a = radians(p.angle) * u
    return shot([0, 0, 0], [0, -r * Math.sin(a), r * Math.cos(a)])
  }),
  preset('roll', 'Roll', [angle(20, 'Leans clockwise; negative counter-clockwise.')], (u, p, r) =>
    ahead([0, 0, 0], r, p.angle * u)
  ),
  preset(
    'spiral',
    'Spiral',
    [
      param('turns', 2, -50, 50, '', 'Rounds around the viewing axis.'),
      param('size', 0.3, 0, 10, 'radius', 'How wide the last round is.'),
      param('distance', 0, -10, 10, 'radius', 'Forward on the way; negative backward.')
    ],
    (u, p, r) => {
      const a = 2 * Math.PI * p.turns * u
      const size = p.size * r * u
      return shot([size * Math.sin(a), -size * Math.cos(a), p.distance * r * u], [0, 0, r])
    }
  ),
  preset('arc_over', 'Arc over the top', [angle(90, 'How far over; 180 ends behind, upside down.')], arcOver),
  preset('static', 'Static', [], (_u, _p, r) => ahead([0, 0, 0], r)),
  {
    ...preset(
      'bullet_time',
      'Bullet time',
      [
        angle(90, 'How far around while time stands still; positive to the right, negative to the left.'),
        param('freeze', 16, 0, 9999, 'frame', 'Frame of the clip at which time stops.'),
        param('hold', 16, 1, 9999, 'frame', 'Frames that the orbit around the frozen moment takes.'),
        RISE_PARAM
      ],
      (u, p, r, pivot) => orbitAt(radians(p.angle) * u, p, r, pivot)
    ),
    schedule: bulletTime
  }
]
