/**
 * What is drawn over the scene view in 2D: path, cameras, target, pivot, gizmo. Needs no WebGL.
 *
 * @import { Handle } from './handles.js'
 * @import { Camera, Intrinsics, Vec3 } from './math.js'
 */
import { add, axesOf, clamp, eyeOf, pixelRay, project, scale, toCamera } from './math.js'
import { AXES, gizmoArms, gizmoSquares } from './handles.js'
import { COLOURS } from './theme.js'
import { word } from './words.js'

const NEAREST = 1e-4

export class Pen {
  /** @param {CanvasRenderingContext2D} context @param {Camera} view @param {number} unit pixels per CSS pixel */
  constructor(context, view, unit) {
    this.context = context
    this.view = view
    this.unit = unit
    /** Where the last segment of the stroke ended. @type {ArrayLike<number> | null} */
    this.end = null
  }

  /**
   * A straight line in space, cut where it passes behind the viewer. One that goes on where the last ended joins it:
   * a browser strokes one long line several times faster than its pieces.
   * @param {Vec3} a @param {Vec3} b
   */
  segment(a, b) {
    const za = toCamera(this.view.pose, a)[2]
    const zb = toCamera(this.view.pose, b)[2]
    if (za < NEAREST && zb < NEAREST) return
    const cut = (
      /** @type {Vec3} */ inside,
      /** @type {Vec3} */ outside,
      /** @type {number} */ zi,
      /** @type {number} */ zo
    ) =>
      add(
        outside,
        scale([inside[0] - outside[0], inside[1] - outside[1], inside[2] - outside[2]], (NEAREST - zo) / (zi - zo))
      )
    const p = project(this.view, za < NEAREST ? cut(b, a, zb, za) : a)
    const q = project(this.view, zb < NEAREST ? cut(a, b, za, zb) : b)
    const far = 1e5
    if ([p[0], p[1], q[0], q[1]].some((v) => Math.abs(v) > far)) return
    if (this.end?.[0] !== p[0] || this.end[1] !== p[1]) this.context.moveTo(p[0], p[1])
    this.context.lineTo(q[0], q[1])
    this.end = q
  }

  /**
   * @param {() => void} lines
   * @param {string} colour
   * @param {number} width CSS pixels
   * @param {number} [alpha]
   * @param {number[]} [dash]
   */
  stroke(lines, colour, width, alpha = 1, dash = []) {
    const c = this.context
    c.save()
    c.globalAlpha = alpha
    c.strokeStyle = colour
    c.lineWidth = width * this.unit
    c.lineCap = c.lineJoin = 'round'
    c.setLineDash(dash.map((d) => d * this.unit))
    c.beginPath()
    this.end = null
    lines()
    c.stroke()
    c.restore()
  }

  /** Screen position of a point in front of the viewer, else null. @param {Vec3} point */
  spot(point) {
    const [x, y, z] = project(this.view, point)
    return z > NEAREST && Math.abs(x) < 1e5 && Math.abs(y) < 1e5 ? { x, y } : null
  }

  /**
   * A filled shape around a point.
   * @param {Vec3} point
   * @param {'dot' | 'diamond' | 'ring'} shape
   * @param {number} size CSS pixels
   * @param {string} colour
   * @param {boolean} [hot]
   */
  mark(point, shape, size, colour, hot = false) {
    const at = this.spot(point)
    if (!at) return
    const c = this.context
    const r = size * this.unit * (hot ? 1.25 : 1)
    c.save()
    c.beginPath()
    if (shape === 'diamond') {
      c.moveTo(at.x, at.y - r)
      c.lineTo(at.x + r, at.y)
      c.lineTo(at.x, at.y + r)
      c.lineTo(at.x - r, at.y)
      c.closePath()
    } else c.arc(at.x, at.y, r, 0, 2 * Math.PI)
    c.lineWidth = 1.5 * this.unit
    if (shape === 'ring') {
      c.strokeStyle = colour
      c.lineWidth = 2 * this.unit
      c.stroke()
      c.beginPath()
      c.arc(at.x, at.y, 1.6 * this.unit, 0, 2 * Math.PI)
      c.fillStyle = colour
      c.fill()
    } else {
      c.fillStyle = colour
      c.fill()
      c.strokeStyle = hot ? '#ffffff' : '#14161acc'
      if (size > 2) c.stroke()
    }
    c.restore()
  }

  /**
   * Small dots, as one shape: a browser fills that many times faster than one by one.
   * @param {Vec3[]} points
   * @param {number} size CSS pixels
   * @param {string} colour
   */
  dots(points, size, colour) {
    const c = this.context
    const r = size * this.unit
    c.save()
    c.fillStyle = colour
    c.beginPath()
    for (const point of points) {
      const at = this.spot(point)
      if (!at) continue
      c.moveTo(at.x + r, at.y)
      c.arc(at.x, at.y, r, 0, 2 * Math.PI)
    }
    c.fill()
    c.restore()
  }

  /**
   * Pyramids of cameras, as one stroke.
   * @param {Camera[]} cameras
   * @param {number} depth
   * @param {string} colour
   * @param {number} width
   * @param {number} alpha
   */
  frustums(cameras, depth, colour, width, alpha) {
    this.stroke(
      () => {
        for (const camera of cameras) this.frustumLines(camera, depth)
      },
      colour,
      width,
      alpha
    )
  }

  /** @param {Camera} camera @param {number} depth */
  frustumLines(camera, depth) {
    const eye = eyeOf(camera.pose)
    const corners = frustumCorners(camera, depth)
    corners.forEach((corner, i) => this.segment(corner, corners[(i + 1) % 4]))
    for (const corner of corners) this.segment(eye, corner)
    // A small roof tells which way is up.
    const { down } = axesOf(camera.pose)
    const middle = scale(add(corners[0], corners[1]), 0.5)
    const rise = (0.22 * depth * camera.intrinsics.height) / camera.intrinsics.fy
    const tip = add(middle, scale(down, -rise))
    const inner = (/** @type {number} */ i) => add(scale(corners[i], 0.6), scale(middle, 0.4))
    this.segment(inner(0), tip)
    this.segment(tip, inner(1))
  }

  /**
   * What a camera sees, shaded.
   * @param {Camera} camera
   * @param {number} depth
   * @param {string} colour
   * @param {number} alpha
   */
  frame(camera, depth, colour, alpha) {
    const flat = frustumCorners(camera, depth).flatMap((corner) => this.spot(corner) ?? [])
    if (flat.length < 4) return
    const c = this.context
    c.save()
    c.globalAlpha = alpha
    c.fillStyle = colour
    c.beginPath()
    for (const { x, y } of flat) c.lineTo(x, y)
    c.fill()
    c.restore()
  }
}

/** Corners of a camera's picture, so far in front of it. @param {Camera} camera @param {number} depth */
function frustumCorners(camera, depth) {
  const { width: w, height: h } = camera.intrinsics
  return [
    [0, 0],
    [w, 0],
    [w, h],
    [0, h]
  ].map(([u, v]) => {
    const ray = pixelRay(camera, u, v)
    return add(ray.eye, scale(ray.direction, depth))
  })
}

/**
 * @param {Pen} pen
 * @param {{poses: ArrayLike<number>[], frame: number, keys: {frame: number, position: Vec3}[], selected: number | null,
 *   camera: Camera, sourceLens: Intrinsics, sourcePose: ArrayLike<number>, sourceWay?: Vec3[], closed?: boolean,
 *   target: Vec3 | null, pivot: Vec3, radius: number,
 *   keyCameras: {frame: number, camera: Camera}[], hot: Handle | null, inside: boolean[]}} scene
 */
export function drawPath(pen, scene) {
  const { poses, frame, radius, hot } = scene
  const size = 0.16 * radius
  const eyes = poses.map(eyeOf)
  const way = scene.sourceWay ?? []
  if (scene.closed && eyes.length > 1) eyes.push(eyes[0])
  const isHot = (/** @type {Handle['kind']} */ kind, key = -1) =>
    hot?.kind === kind && (hot.kind !== 'key' || hot.frame === key)

  pen.stroke(
    () => {
      for (let i = 0; i + 1 < way.length; i++) pen.segment(way[i], way[i + 1])
    },
    COLOURS.source,
    1.6,
    0.9
  )
  if (way.length && way.length <= 240) pen.dots(way, 1.3, COLOURS.source)
  pen.frustums([{ pose: scene.sourcePose, intrinsics: scene.sourceLens }], size * 1.25, COLOURS.source, 1.2, 0.8)
  pen.stroke(
    () => {
      for (let i = 0; i + 1 < eyes.length; i++) pen.segment(eyes[i], eyes[i + 1])
    },
    '#000000',
    4.5,
    0.35
  )
  pen.stroke(
    () => {
      for (let i = 0; i + 1 < eyes.length; i++) if (!scene.inside[i]) pen.segment(eyes[i], eyes[i + 1])
    },
    COLOURS.path,
    2,
    0.95
  )
  if (scene.inside.some(Boolean)) {
    pen.stroke(
      () => {
        for (let i = 0; i + 1 < eyes.length; i++) if (scene.inside[i]) pen.segment(eyes[i], eyes[i + 1])
      },
      COLOURS.hole,
      2.6,
      1
    )
  }
  if (eyes.length <= 240) pen.dots(eyes, 1.3, COLOURS.path)
  pen.frustums(
    scene.keyCameras.filter((key) => key.frame !== frame).map((key) => key.camera),
    size * 0.75,
    COLOURS.path,
    1,
    0.45
  )
  for (const key of scene.keys) {
    pen.mark(
      key.position,
      'diamond',
      key.frame === scene.selected ? 6.5 : 5,
      key.frame === scene.selected ? '#ffffff' : COLOURS.path,
      isHot('key', key.frame)
    )
  }

  pen.frame(scene.camera, size * 1.25, '#ffffff', 0.14)
  pen.frustums([scene.camera], size * 1.25, '#ffffff', 1.8, 1)
  const eye = eyeOf(scene.camera.pose)
  if (scene.target) {
    const target = scene.target
    pen.stroke(() => pen.segment(eye, target), COLOURS.target, 1.3, 0.8, [5, 4])
    pen.mark(target, 'ring', 6, COLOURS.target, isHot('target'))
  }
  const at = pen.spot(scene.pivot)
  if (at) {
    const c = pen.context
    const reach = (isHot('pivot') ? 10 : 8) * pen.unit
    c.save()
    c.strokeStyle = COLOURS.pivot
    c.lineWidth = 1.6 * pen.unit
    c.beginPath()
    for (const [dx, dy] of [
      [1, 0],
      [-1, 0],
      [0, 1],
      [0, -1]
    ]) {
      c.moveTo(at.x + dx * reach, at.y + dy * reach)
      c.lineTo(at.x + 0.35 * dx * reach, at.y + 0.35 * dy * reach)
    }
    c.stroke()
    c.restore()
  }
  pen.mark(eye, 'dot', 5.5, '#ffffff', isHot('camera'))
}

/** Arrows and squares of the gizmo. @param {Pen} pen @param {Vec3} origin @param {Handle | null} hot */
export function drawGizmo(pen, origin, hot) {
  const c = pen.context
  for (const square of gizmoSquares(pen.view, origin, pen.unit)) {
    const lit = hot?.kind === 'plane' && hot.axis === square.axis
    c.save()
    c.globalAlpha = lit ? 0.75 : 0.34
    c.fillStyle = COLOURS.axes[square.axis]
    c.beginPath()
    for (const corner of square.corners) c.lineTo(corner[0], corner[1])
    c.fill()
    c.restore()
  }
  for (const arm of gizmoArms(pen.view, origin, pen.unit)) {
    const lit = hot?.kind === 'axis' && hot.axis === arm.axis
    const dx = arm.x2 - arm.x
    const dy = arm.y2 - arm.y
    const size = Math.hypot(dx, dy) || 1
    const head = 8 * pen.unit
    const [ux, uy] = [dx / size, dy / size]
    c.save()
    c.strokeStyle = c.fillStyle = lit ? '#ffffff' : COLOURS.axes[arm.axis]
    c.lineWidth = (lit ? 3 : 2.2) * pen.unit
    c.beginPath()
    c.moveTo(arm.x + ux * 9 * pen.unit, arm.y + uy * 9 * pen.unit)
    c.lineTo(arm.x2 - ux * head * 0.6, arm.y2 - uy * head * 0.6)
    c.stroke()
    c.beginPath()
    c.moveTo(arm.x2, arm.y2)
    c.lineTo(arm.x2 - ux * head - uy * head * 0.45, arm.y2 - uy * head + ux * head * 0.45)
    c.lineTo(arm.x2 - ux * head + uy * head * 0.45, arm.y2 - uy * head - ux * head * 0.45)
    c.fill()
    c.restore()
  }
}

/** Sky and ground with the horizon between them. @param {Pen} pen @param {number} width @param {number} height */
export function drawStage(pen, width, height) {
  const c = pen.context
  const { forward } = axesOf(pen.view.pose)
  // The view has no roll, so the horizon is level; y points down.
  const level = Math.hypot(forward[0], forward[2])
  const horizon =
    level > 1e-6
      ? pen.view.intrinsics.cy - (pen.view.intrinsics.fy * forward[1]) / level
      : forward[1] > 0
        ? -height
        : 2 * height
  const share = clamp(horizon / height, 0, 1)
  const sky = c.createLinearGradient(0, 0, 0, height)
  const far = '#2b3038'
  sky.addColorStop(0, share > 0 ? '#15181d' : far)
  sky.addColorStop(Math.max(0, share - 0.001), far)
  sky.addColorStop(share, '#23262c')
  sky.addColorStop(1, '#1a1c20')
  c.fillStyle = sky
  c.fillRect(0, 0, width, height)
  if (horizon > 0 && horizon < height) {
    c.fillStyle = '#ffffff1f'
    c.fillRect(0, Math.round(horizon), width, Math.max(1, pen.unit))
  }
}

/** Which way the world's axes point, in the corner. @param {Pen} pen @param {number} height */
export function drawCompass(pen, height) {
  const c = pen.context
  const size = 17 * pen.unit
  const [x, y] = [28 * pen.unit, height - 28 * pen.unit]
  const m = pen.view.pose
  AXES.map((axis, i) => ({ i, dx: dot3(m, 0, axis), dy: dot3(m, 4, axis), dz: dot3(m, 8, axis) }))
    .sort((a, b) => b.dz - a.dz)
    .forEach(({ i, dx, dy }) => {
      c.strokeStyle = c.fillStyle = COLOURS.axes[i]
      c.lineWidth = 2 * pen.unit
      c.beginPath()
      c.moveTo(x, y)
      c.lineTo(x + dx * size, y + dy * size)
      c.stroke()
      c.font = `600 ${9 * pen.unit}px sans-serif`
      c.textAlign = 'center'
      c.textBaseline = 'middle'
      c.fillText('xyz'[i], x + dx * size * 1.42, y + dy * size * 1.42)
    })
}

/** @param {ArrayLike<number>} m @param {number} row @param {Vec3} v */
const dot3 = (m, row, v) => m[row] * v[0] + m[row + 1] * v[1] + m[row + 2] * v[2]

/**
 * A line in the upper left corner of a view: as many of its parts as there is room for.
 * @param {CanvasRenderingContext2D} c
 * @param {string[]} parts
 * @param {number} unit
 */
export function drawTag(c, parts, unit) {
  c.save()
  c.font = `${11 * unit}px Inter, system-ui, sans-serif`
  c.textAlign = 'left'
  c.textBaseline = 'top'
  c.lineWidth = 3 * unit
  c.lineJoin = 'round'
  c.strokeStyle = '#000000a0'
  c.fillStyle = '#dfe3ea'
  const said = parts.map(word)
  const line = (/** @type {number} */ count) => said.slice(0, count).join('  ·  ')
  let count = parts.length
  while (count > 1 && c.measureText(line(count)).width > c.canvas.width - 16 * unit) count--
  c.strokeText(line(count), 8 * unit, 7 * unit)
  c.fillText(line(count), 8 * unit, 7 * unit)
  c.restore()
}
