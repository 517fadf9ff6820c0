// @ts-check
/**
 * Draws preview meshes with WebGL2. One renderer (one context, off screen) serves every camera node of the page, since
 * browsers allow only a few contexts; the views copy its picture into their own canvas.
 *
 * @typedef {import('./math.js').Camera} Camera
 * @typedef {import('./preview.js').PreviewHeader} PreviewHeader
 * @typedef {import('./preview.js').PreviewFrame} PreviewFrame
 * @typedef {'colour' | 'mask' | 'checker' | 'scene'} DrawMode
 * @typedef {{program: WebGLProgram, at: (name: string) => WebGLUniformLocation | null}} Program
 * @typedef {{colours: WebGLTexture, depth: WebGLTexture, occlusion: WebGLTexture, uploaded: boolean[], ruled: boolean[]}} ClipTextures
 */
import { clipMatrix } from './math.js'
import {
  fullScreenVertex, lineFragment, lineVertex, meshFragment, meshVertex, nothingFragment, occlusionFragment, pointsVertex
} from './shaders.js'

const MODES = { colour: 0, mask: 1, checker: 2, scene: 3 }
/** Floats of position, colour and place in the vertex buffer. */
const VERTEX = [3, 4, 3]
const VERTEX_FLOATS = 10
const [NEAR, FAR] = [1e-3, 1e3]

/**
 * The planes between which Python renders the shot: the published ones, both farther by one factor where the back plate is,
 * whatever the scene's unit, and near in front of a tiny scene.
 * @param {PreviewHeader | undefined} header
 */
export function shotRange(header) {
  const grown = Math.max(1, (10 * (header?.border_depth ?? 0)) / FAR)
  return { near: Math.min(NEAR * grown, 0.2 * (header?.near ?? Infinity)), far: FAR * grown }
}

const SOFTWARE = /swiftshader|llvmpipe|softpipe|basic render|software/i
let clips = 0

/** A clip's preview on its way to the GPU; the decoded frames stay here, for a lost context and for picking. */
export class Clip {
  /** @param {PreviewHeader} header */
  constructor(header) {
    this.header = header
    /** @type {(PreviewFrame | null)[]} */
    this.frames = new Array(header.frames).fill(null)
    this.loaded = 0
    /** Tells clips apart, and a clip from itself after its textures were lost. */
    this.serial = ++clips
    /** @type {ClipTextures | null} */
    this.textures = null
    this.disposed = false
  }

  /** @param {PreviewFrame} frame */
  receive(frame) {
    this.frames[frame.index] = frame
    this.loaded++
  }

  /** The stored frame that shows clip frame `number`, among those that have arrived. @param {number} number @returns {number} -1 = none */
  indexOf(number) {
    const { frame_numbers: numbers, clip_frames: count } = this.header
    const wanted = count === 1 ? 0 : number
    let best = -1
    for (let i = 0; i < numbers.length; i++) {
      if (!this.frames[i]) continue
      if (best < 0 || Math.abs(numbers[i] - wanted) < Math.abs(numbers[best] - wanted)) best = i
    }
    return best
  }

  dispose() {
    this.disposed = true
    for (const frame of this.frames) frame?.image.close()
    this.frames.fill(null)
    sharedRenderer?.forget(this)
  }
}

/** @param {WebGL2RenderingContext} gl @param {string} vertex @param {string} fragment @param {string[]} [captured] outputs for transform feedback @returns {Program} */
function buildProgram(gl, vertex, fragment, captured) {
  const program = gl.createProgram()
  for (const [kind, text] of /** @type {[number, string][]} */ ([[gl.VERTEX_SHADER, vertex], [gl.FRAGMENT_SHADER, fragment]])) {
    const shader = /** @type {WebGLShader} */ (gl.createShader(kind))
    gl.shaderSource(shader, text)
    gl.compileShader(shader)
    gl.attachShader(program, shader)
    if (!gl.getShaderParameter(shader, gl.COMPILE_STATUS) && !gl.isContextLost()) {
      throw new Error(`EX-4D shader: ${gl.getShaderInfoLog(shader)}`)
    }
    gl.deleteShader(shader)
  }
  if (captured) gl.transformFeedbackVaryings(program, captured, gl.INTERLEAVED_ATTRIBS)
  gl.linkProgram(program)
  if (!gl.getProgramParameter(program, gl.LINK_STATUS) && !gl.isContextLost()) {
    throw new Error(`EX-4D program: ${gl.getProgramInfoLog(program)}`)
  }
  /** @type {Map<string, WebGLUniformLocation | null>} */
  const places = new Map()
  const at = (/** @type {string} */ name) => {
    if (!places.has(name)) places.set(name, gl.getUniformLocation(program, name))
    return /** @type {WebGLUniformLocation | null} */ (places.get(name))
  }
  return { program, at }
}

/**
 * Triangles of the grid as vertex indices, back plate last; `step` 2 is the coarse grid for slow machines.
 * Both faces of a quad end at its upper right corner, which carries the quad's validity.
 * @param {number} width @param {number} height @param {'released' | 'paper'} style @param {number} step
 */
export function gridIndices(width, height, style, step = 1) {
  const stops = (/** @type {number} */ count) => {
    const out = []
    for (let i = 0; i < count - 1; i += step) out.push(i)
    out.push(count - 1)
    // The rim and its inner neighbours stay, or the back plate would swallow the picture's edge.
    if (step > 1) out.splice(1, 0, 1), out.includes(count - 2) || out.splice(out.length - 1, 0, count - 2)
    return [...new Set(out)].sort((a, b) => a - b)
  }
  const columns = stops(width)
  const rows = stops(height)
  const quads = (columns.length - 1) * (rows.length - 1)
  const rim = 2 * (width + height - 2)
  const out = new Uint32Array(6 * quads + (style === 'paper' ? 3 * rim : 6))
  let n = 0
  // Narrow bands keep a row of vertices in the processor's small vertex cache until the row below needs it.
  for (let band = 0; band + 1 < columns.length; band += BAND) {
    const stop = Math.min(band + BAND, columns.length - 1)
    for (let r = 0; r + 1 < rows.length; r++) {
      for (let c = band; c < stop; c++) {
        const upperLeft = rows[r] * width + columns[c]
        const upperRight = rows[r] * width + columns[c + 1]
        const lowerLeft = rows[r + 1] * width + columns[c]
        const lowerRight = rows[r + 1] * width + columns[c + 1]
        out.set([upperLeft, lowerLeft, upperRight, lowerLeft, lowerRight, upperRight], n)
        n += 6
      }
    }
  }
  const corners = [0, width - 1, (height - 1) * width, height * width - 1]
  if (style === 'released') {
    out.set([corners[1], corners[0], corners[3], corners[3], corners[0], corners[2]], n)
    return out
  }
  const around = []
  for (let x = 0; x < width - 1; x++) around.push(x)
  for (let y = 0; y < height - 1; y++) around.push(y * width + width - 1)
  for (let x = width - 1; x > 0; x--) around.push(corners[2] + x)
  for (let y = height - 1; y > 0; y--) around.push(y * width)
  for (let i = 0; i < around.length; i++, n += 3) out.set([around[i], around[(i + 1) % around.length], width * height], n)
  return out
}

/** Lines of a square ground grid around the origin in the plane y = 0. @param {number} cells */
function groundLines(cells) {
  const out = []
  // Short pieces, so that the fade is smooth along a line.
  for (let i = -cells; i <= cells; i++) {
    for (let j = -cells; j < cells; j++) out.push(i, 0, j, i, 0, j + 1, j, 0, i, j + 1, 0, i)
  }
  return new Float32Array(out)
}

const GROUND_CELLS = 12
/** Columns of quads per band of the grid. */
const BAND = 12

/** Programs and buffers of a context; made anew after it was lost. @param {WebGL2RenderingContext} gl */
function buildTools(gl) {
  const ground = gl.createVertexArray()
  gl.bindVertexArray(ground)
  gl.bindBuffer(gl.ARRAY_BUFFER, gl.createBuffer())
  const lines = groundLines(GROUND_CELLS)
  gl.bufferData(gl.ARRAY_BUFFER, lines, gl.STATIC_DRAW)
  gl.enableVertexAttribArray(0)
  gl.vertexAttribPointer(0, 3, gl.FLOAT, false, 0, 0)
  return {
    mesh: { released: buildProgram(gl, meshVertex('released'), meshFragment('released')), paper: buildProgram(gl, meshVertex('paper'), meshFragment('paper')) },
    rule: buildProgram(gl, fullScreenVertex, occlusionFragment),
    points: buildProgram(gl, pointsVertex, nothingFragment, ['position', 'colour', 'place']),
    feedback: gl.createTransformFeedback(),
    /** The vertices of one clip frame: the one that is looked at. @type {{buffer: WebGLBuffer, bytes: number, clip: Clip | null, index: number, step: number}} */
    vertices: { buffer: gl.createBuffer(), bytes: 0, clip: null, index: -1, step: 0 },
    line: buildProgram(gl, lineVertex, lineFragment),
    empty: gl.createVertexArray(),
    /** @type {Map<string, {array: WebGLVertexArrayObject, count: number}>} */
    grids: new Map(),
    ground,
    groundCount: lines.length / 3,
    ruleTarget: gl.createFramebuffer(),
    offscreen: gl.createFramebuffer(),
    offscreenSize: [0, 0],
    offscreenColour: gl.createRenderbuffer(),
    offscreenDepth: gl.createRenderbuffer()
  }
}

export class Renderer {
  constructor() {
    this.canvas = document.createElement('canvas')
    this.canvas.width = this.canvas.height = 16
    const gl = this.canvas.getContext('webgl2', { antialias: false, alpha: true, depth: true, powerPreference: 'high-performance' })
    if (!gl) throw new Error('This browser gives the page no WebGL2, so the scene cannot be drawn in 3D.')
    this.gl = gl
    this.lost = false
    const names = gl.getExtension('WEBGL_debug_renderer_info')
    /** Whether the graphics are emulated by the processor. */
    this.software = SOFTWARE.test(String(names ? gl.getParameter(names.UNMASKED_RENDERER_WEBGL) : gl.getParameter(gl.RENDERER)))
    /** Whether `warm` has run. */
    this.warmed = false
    /** @type {Set<() => void>} */
    this.listeners = new Set()
    /** @type {Set<Clip>} */
    this.clips = new Set()
    this.canvas.addEventListener('webglcontextlost', (event) => {
      event.preventDefault()
      this.lost = true
      for (const clip of this.clips) clip.textures = null
      this.announce()
    })
    this.canvas.addEventListener('webglcontextrestored', () => {
      this.tools = buildTools(gl)
      this.lost = false
      this.announce()
    })
    this.tools = buildTools(gl)
  }

  announce() {
    for (const listener of this.listeners) listener()
  }

  /** @param {Clip} clip */
  forget(clip) {
    const gl = this.gl
    if (clip.textures && !this.lost) {
      for (const texture of [clip.textures.colours, clip.textures.depth, clip.textures.occlusion]) gl.deleteTexture(texture)
    }
    clip.textures = null
    if (this.tools.vertices.clip === clip) this.tools.vertices.clip = null
    this.clips.delete(clip)
  }

  /** @param {Clip} clip @returns {ClipTextures} */
  texturesOf(clip) {
    if (clip.textures) return clip.textures
    const gl = this.gl
    const { width, height, frames } = clip.header
    const make = (/** @type {number} */ format) => {
      const texture = /** @type {WebGLTexture} */ (gl.createTexture())
      gl.bindTexture(gl.TEXTURE_2D_ARRAY, texture)
      gl.texStorage3D(gl.TEXTURE_2D_ARRAY, 1, format, width, height, frames)
      for (const key of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER]) gl.texParameteri(gl.TEXTURE_2D_ARRAY, key, gl.NEAREST)
      for (const key of [gl.TEXTURE_WRAP_S, gl.TEXTURE_WRAP_T]) gl.texParameteri(gl.TEXTURE_2D_ARRAY, key, gl.CLAMP_TO_EDGE)
      return texture
    }
    this.clips.add(clip)
    clip.textures = {
      colours: make(gl.RGBA8),
      depth: make(gl.R16UI),
      occlusion: make(gl.RG8),
      uploaded: new Array(frames).fill(false),
      ruled: new Array(frames).fill(false)
    }
    return clip.textures
  }

  /** Uniforms and textures that the mesh and the occlusion rule share. @param {Program} program @param {Clip} clip @param {number} index */
  bindScene(program, clip, index) {
    const gl = this.gl
    const textures = this.texturesOf(clip)
    const h = clip.header
    gl.useProgram(program.program)
    gl.activeTexture(gl.TEXTURE0)
    gl.bindTexture(gl.TEXTURE_2D_ARRAY, textures.depth)
    gl.uniform1i(program.at('depthLevels'), 0)
    gl.uniform1i(program.at('layer'), index)
    gl.uniform2i(program.at('size'), h.width, h.height)
    gl.uniform2f(program.at('inverseDepth'), (1 / h.near - 1 / h.far) / h.levels, 1 / h.far)
    gl.uniform1f(program.at('borderDepth'), h.border_depth)
    gl.uniform1f(program.at('pixelOffset'), h.style === 'paper' ? 0.5 : 0)
    gl.uniform4f(program.at('source'), h.intrinsics.fx, h.intrinsics.fy, h.intrinsics.cx, h.intrinsics.cy)
    gl.uniform1i(program.at('paper'), h.style === 'paper' ? 1 : 0)
  }

  /** Uploads a frame on first use and runs the occlusion rule on it, once. @param {Clip} clip @param {number} index */
  prepareFrame(clip, index) {
    const gl = this.gl
    const textures = this.texturesOf(clip)
    const frame = clip.frames[index]
    if (!frame) return
    const { width, height } = clip.header
    if (!textures.uploaded[index]) {
      gl.pixelStorei(gl.UNPACK_ALIGNMENT, 1)
      gl.bindTexture(gl.TEXTURE_2D_ARRAY, textures.colours)
      gl.texSubImage3D(gl.TEXTURE_2D_ARRAY, 0, 0, 0, index, width, height, 1, gl.RGBA, gl.UNSIGNED_BYTE, frame.image)
      gl.bindTexture(gl.TEXTURE_2D_ARRAY, textures.depth)
      gl.texSubImage3D(gl.TEXTURE_2D_ARRAY, 0, 0, 0, index, width, height, 1, gl.RED_INTEGER, gl.UNSIGNED_SHORT, frame.depth)
      textures.uploaded[index] = true
    }
    if (textures.ruled[index]) return
    const rule = this.tools.rule
    this.bindScene(rule, clip, index)
    const cosine = Math.cos((clip.header.min_angle * Math.PI) / 180)
    gl.uniform1f(rule.at('angleLimit'), 4 * cosine * cosine)
    gl.uniform1f(rule.at('maxJump'), clip.header.max_jump ?? 1e30)
    gl.bindFramebuffer(gl.FRAMEBUFFER, this.tools.ruleTarget)
    gl.framebufferTextureLayer(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, textures.occlusion, 0, index)
    gl.viewport(0, 0, width, height)
    gl.disable(gl.DEPTH_TEST)
    gl.disable(gl.BLEND)
    gl.bindVertexArray(this.tools.empty)
    gl.drawArrays(gl.TRIANGLES, 0, 3)
    gl.bindFramebuffer(gl.FRAMEBUFFER, null)
    textures.ruled[index] = true
  }

  /** Unprojects a clip frame into the vertex buffer, unless it is there. @param {Clip} clip @param {number} index @param {number} step of the grid that will be drawn */
  fillVertices(clip, index, step) {
    const { gl, tools } = this
    const { vertices } = tools
    if (vertices.clip === clip && vertices.index === index && vertices.step === step) return
    const count = clip.header.width * clip.header.height + 1
    const bytes = 4 * VERTEX_FLOATS * count
    this.bindScene(tools.points, clip, index)
    this.bindColours(tools.points, clip)
    gl.uniform1i(tools.points.at('gridStep'), step)
    gl.bindVertexArray(tools.empty)
    gl.bindBuffer(gl.ARRAY_BUFFER, vertices.buffer)
    if (vertices.bytes < bytes) {
      gl.bufferData(gl.ARRAY_BUFFER, bytes, gl.DYNAMIC_COPY)
      vertices.bytes = bytes
    }
    // A buffer must not be bound elsewhere while it is captured into.
    gl.bindBuffer(gl.ARRAY_BUFFER, null)
    gl.bindTransformFeedback(gl.TRANSFORM_FEEDBACK, tools.feedback)
    gl.bindBufferBase(gl.TRANSFORM_FEEDBACK_BUFFER, 0, vertices.buffer)
    gl.enable(gl.RASTERIZER_DISCARD)
    gl.beginTransformFeedback(gl.POINTS)
    gl.drawArrays(gl.POINTS, 0, count)
    gl.endTransformFeedback()
    gl.disable(gl.RASTERIZER_DISCARD)
    gl.bindBufferBase(gl.TRANSFORM_FEEDBACK_BUFFER, 0, null)
    gl.bindTransformFeedback(gl.TRANSFORM_FEEDBACK, null)
    vertices.clip = clip
    vertices.index = index
    vertices.step = step
  }

  /** @param {Program} program @param {Clip} clip */
  bindColours(program, clip) {
    const gl = this.gl
    const textures = this.texturesOf(clip)
    gl.activeTexture(gl.TEXTURE1)
    gl.bindTexture(gl.TEXTURE_2D_ARRAY, textures.colours)
    gl.uniform1i(program.at('colours'), 1)
    gl.activeTexture(gl.TEXTURE2)
    gl.bindTexture(gl.TEXTURE_2D_ARRAY, textures.occlusion)
    gl.uniform1i(program.at('occlusion'), 2)
    gl.activeTexture(gl.TEXTURE0)
  }

  /** @param {Clip} clip @param {number} step */
  gridOf(clip, step) {
    const gl = this.gl
    const { width, height, style } = clip.header
    const name = `${width}x${height} ${style} ${step}`
    let grid = this.tools.grids.get(name)
    if (!grid) {
      const array = /** @type {WebGLVertexArrayObject} */ (gl.createVertexArray())
      gl.bindVertexArray(array)
      gl.bindBuffer(gl.ARRAY_BUFFER, this.tools.vertices.buffer)
      let offset = 0
      VERTEX.forEach((count, location) => {
        gl.enableVertexAttribArray(location)
        gl.vertexAttribPointer(location, count, gl.FLOAT, false, 4 * VERTEX_FLOATS, 4 * offset)
        offset += count
      })
      gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, gl.createBuffer())
      const indices = gridIndices(width, height, style, step)
      gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, indices, gl.STATIC_DRAW)
      grid = { array, count: indices.length }
      this.tools.grids.set(name, grid)
    }
    return grid
  }

  /**
   * Draws into the bound framebuffer.
   * @param {{clip: Clip | null, index: number, camera: Camera, width: number, height: number, mode: DrawMode,
   *   step?: number, near?: number, ground?: {centre: [number, number, number], tint: [number, number, number, number], cell: number} | null}} scene
   */
  draw({ clip, index, camera, width, height, mode, step = 1, near = shotRange(clip?.header).near, ground = null }) {
    const gl = this.gl
    if (clip && index >= 0) this.prepareFrame(clip, index)
    gl.viewport(0, 0, width, height)
    gl.enable(gl.SCISSOR_TEST)
    gl.scissor(0, 0, width, height)
    gl.enable(gl.DEPTH_TEST)
    gl.depthMask(true)
    gl.disable(gl.BLEND)
    const opaque = mode === 'colour' || mode === 'mask'
    gl.clearColor(0, 0, 0, opaque ? 1 : 0)
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT)
    const far = Math.max(shotRange(clip?.header).far, mode === 'scene' ? 4 * (clip?.header.far ?? 0) : 0)
    const matrix = clipMatrix(camera, near, far)
    if (clip && index >= 0 && clip.frames[index]) {
      const mesh = this.tools.mesh[clip.header.style]
      this.fillVertices(clip, index, step)
      gl.useProgram(mesh.program)
      if (clip.header.style === 'paper') {
        gl.uniform1i(mesh.at('layer'), index)
        this.bindColours(mesh, clip)
      }
      gl.uniformMatrix4fv(mesh.at('clipFromWorld'), true, matrix)
      gl.uniform1i(mesh.at('mode'), MODES[mode])
      const grid = this.gridOf(clip, step)
      gl.bindVertexArray(grid.array)
      gl.drawElements(gl.TRIANGLES, grid.count, gl.UNSIGNED_INT, 0)
    }
    if (ground) this.drawGround(ground, camera, near, far)
    gl.disable(gl.SCISSOR_TEST)
  }

  /** @param {{centre: [number, number, number], tint: [number, number, number, number], cell: number}} ground @param {Camera} camera @param {number} near @param {number} far */
  drawGround(ground, camera, near, far) {
    const gl = this.gl
    const line = this.tools.line
    const { pose, intrinsics } = camera
    // Grid cells become the unit: the pose's translation shrinks instead of the lines growing.
    const scaled = Array.from(pose)
    for (const i of [3, 7, 11]) scaled[i] /= ground.cell
    gl.useProgram(line.program)
    const matrix = clipMatrix({ pose: scaled, intrinsics }, near / ground.cell, far / ground.cell)
    gl.uniformMatrix4fv(line.at('clipFromWorld'), true, matrix)
    gl.uniform3f(line.at('centre'), ground.centre[0] / ground.cell, ground.centre[1] / ground.cell, ground.centre[2] / ground.cell)
    gl.uniform4f(line.at('tint'), ...ground.tint)
    gl.uniform1f(line.at('reach'), GROUND_CELLS)
    gl.enable(gl.BLEND)
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA)
    gl.depthMask(false)
    gl.bindVertexArray(this.tools.ground)
    gl.drawArrays(gl.LINES, 0, this.tools.groundCount)
    gl.depthMask(true)
    gl.disable(gl.BLEND)
  }

  /**
   * Draws and copies the picture onto a 2D canvas, filling it.
   * @param {CanvasRenderingContext2D} target @param {Parameters<Renderer['draw']>[0]} scene
   */
  paint(target, scene) {
    if (this.lost) return
    const { width, height } = scene
    if (this.canvas.width < width || this.canvas.height < height) {
      this.canvas.width = Math.max(width, this.canvas.width)
      this.canvas.height = Math.max(height, this.canvas.height)
    }
    this.gl.bindFramebuffer(this.gl.FRAMEBUFFER, null)
    this.draw(scene)
    target.drawImage(this.canvas, 0, this.canvas.height - height, width, height, 0, 0, width, height)
  }

  /**
   * Draws off screen and reads the picture back, top row first.
   * @param {Parameters<Renderer['draw']>[0]} scene @returns {Uint8Array<ArrayBuffer>} RGBA
   */
  read(scene) {
    const { gl, tools } = this
    const { width, height } = scene
    gl.bindFramebuffer(gl.FRAMEBUFFER, tools.offscreen)
    if (tools.offscreenSize[0] !== width || tools.offscreenSize[1] !== height) {
      gl.bindRenderbuffer(gl.RENDERBUFFER, tools.offscreenColour)
      gl.renderbufferStorage(gl.RENDERBUFFER, gl.RGBA8, width, height)
      gl.framebufferRenderbuffer(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.RENDERBUFFER, tools.offscreenColour)
      gl.bindRenderbuffer(gl.RENDERBUFFER, tools.offscreenDepth)
      gl.renderbufferStorage(gl.RENDERBUFFER, gl.DEPTH_COMPONENT24, width, height)
      gl.framebufferRenderbuffer(gl.FRAMEBUFFER, gl.DEPTH_ATTACHMENT, gl.RENDERBUFFER, tools.offscreenDepth)
      tools.offscreenSize = [width, height]
    }
    if (scene.clip && scene.index >= 0) this.prepareFrame(scene.clip, scene.index)
    gl.bindFramebuffer(gl.FRAMEBUFFER, tools.offscreen)
    this.draw(scene)
    const upsideDown = new Uint8Array(width * height * 4)
    gl.readPixels(0, 0, width, height, gl.RGBA, gl.UNSIGNED_BYTE, upsideDown)
    gl.bindFramebuffer(gl.FRAMEBUFFER, null)
    const out = new Uint8Array(upsideDown.length)
    const row = width * 4
    for (let y = 0; y < height; y++) out.set(upsideDown.subarray((height - 1 - y) * row, (height - y) * row), y * row)
    return out
  }

  /** Share of pixels that are holes in a camera's view, 0..1, from a small picture. @param {Clip} clip @param {number} index @param {Camera} camera */
  holeShare(clip, index, camera) {
    const pixels = this.read({
      clip, index, camera, width: HOLE_SAMPLES, height: HOLE_SAMPLES, mode: 'mask'
    })
    let seen = 0
    for (let i = 0; i < pixels.length; i += 4) if (pixels[i] > 127) seen++
    return 1 - seen / (HOLE_SAMPLES * HOLE_SAMPLES)
  }

  /** Draws a tiny scene in every way the views do: graphics drivers finish a program at its first use, not when they compile it. */
  warm() {
    if (this.warmed || this.lost) return
    this.warmed = true
    const size = 8
    const context = make2D(this.software)
    for (const style of /** @type {const} */ (['released', 'paper'])) {
      const clip = new Clip({ ...BLANK, style, width: size, height: size })
      clip.receive({ index: 0, image: /** @type {any} */ (new ImageData(size, size)), depth: new Uint16Array(size * size) })
      const scene = { clip, index: 0, camera: { pose: ORIGIN, intrinsics: { fx: size, fy: size, cx: size / 2, cy: size / 2, width: size, height: size } }, width: size, height: size }
      this.paint(context, { ...scene, mode: 'scene', ground: { centre: [0, 1, 1], tint: [1, 1, 1, 1], cell: 1 } })
      this.paint(context, { ...scene, mode: 'checker' })
      this.read({ ...scene, mode: 'mask' })
      this.forget(clip)
    }
  }

  /** Ends the context when the last editor has gone. */
  dispose() {
    for (const clip of [...this.clips]) this.forget(clip)
    this.gl.getExtension('WEBGL_lose_context')?.loseContext()
  }
}

const HOLE_SAMPLES = 96
const ORIGIN = [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]
/** @type {Omit<PreviewHeader, 'style' | 'width' | 'height'>} */
const BLANK = {
  version: 1, frames: 1, clip_frames: 1, frame_numbers: [0], near: 1, far: 2, levels: 1, min_angle: 0, max_jump: null, border_depth: 2,
  radius: 1, pivot: [0, 0, 1], intrinsics: { fx: 8, fy: 8, cx: 4, cy: 4 }, source: [8, 8], sizes: [[0, 0]]
}

/** A small 2D picture to copy into. @param {boolean} software */
const make2D = (software) => /** @type {CanvasRenderingContext2D} */ (document.createElement('canvas').getContext('2d', { willReadFrequently: software }))

/** @type {Renderer | null} */
let sharedRenderer = null
let users = 0

/** The page's renderer; every call needs a `releaseRenderer`. Throws where there is no WebGL2. @returns {Renderer} */
export function acquireRenderer() {
  sharedRenderer ??= new Renderer()
  users++
  return sharedRenderer
}

export function releaseRenderer() {
  users--
  if (users > 0 || !sharedRenderer) return
  sharedRenderer.dispose()
  sharedRenderer = null
}
