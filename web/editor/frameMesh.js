/**
 * A clip frame on the GPU: its textures, the occlusion rule over them, and the vertices and triangles of the one frame
 * that is looked at.
 *
 * @import { Clip } from './clip.js'
 * @import { PreviewFrame } from './preview.js'
 * @import { Program } from './program.js'
 * @typedef {{colours: WebGLTexture, depth: WebGLTexture, occlusion: WebGLTexture}} FrameTextures
 */
import { gridIndices, gridStops } from './grid.js'
import { buildProgram } from './program.js'
import { fullScreenVertex, nothingFragment, occlusionFragment, pointsVertex } from './shaders.js'
import { withLensOf } from './sourceCamera.js'

/** Floats of position, colour and place in the vertex buffer. */
const VERTEX = [3, 4, 3]
const VERTEX_FLOATS = 10

export class FrameMesh {
  /** @param {WebGL2RenderingContext} gl */
  constructor(gl) {
    this.gl = gl
    this.rule = buildProgram(gl, fullScreenVertex, occlusionFragment)
    this.points = buildProgram(gl, pointsVertex, nothingFragment, ['position', 'colour', 'place'])
    this.feedback = gl.createTransformFeedback()
    this.ruleTarget = gl.createFramebuffer()
    this.empty = gl.createVertexArray()
    this.buffer = gl.createBuffer()
    this.bytes = 0
    /** What the vertex buffer holds. @type {{clip: Clip, index: number, step: number} | null} */
    this.filled = null
    /** @type {Map<Clip, (FrameTextures | undefined)[]>} */
    this.textures = new Map()
    /** @type {Map<string, {array: WebGLVertexArrayObject, count: number, type: number}>} */
    this.grids = new Map()
  }

  /** @param {Clip} clip */
  forget(clip) {
    for (const frame of this.textures.get(clip) ?? []) {
      if (frame) for (const texture of [frame.colours, frame.depth, frame.occlusion]) this.gl.deleteTexture(texture)
    }
    this.textures.delete(clip)
    if (this.filled?.clip === clip) this.filled = null
  }

  /**
   * Textures of a frame; on first use it is uploaded and the occlusion rule runs on it.
   * @param {Clip} clip
   * @param {number} index
   * @returns {FrameTextures}
   */
  texturesOf(clip, index) {
    let frames = this.textures.get(clip)
    if (!frames) {
      frames = []
      this.textures.set(clip, frames)
    }
    frames[index] ??= this.upload(clip, /** @type {PreviewFrame} */ (clip.frames[index]))
    return frames[index]
  }

  /** @param {Clip} clip @param {PreviewFrame} frame @returns {FrameTextures} */
  upload(clip, frame) {
    const { gl } = this
    const { width, height } = clip.header
    const make = (/** @type {number} */ format) => {
      const texture = /** @type {WebGLTexture} */ (gl.createTexture())
      gl.bindTexture(gl.TEXTURE_2D, texture)
      gl.texStorage2D(gl.TEXTURE_2D, 1, format, width, height)
      for (const key of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER]) gl.texParameteri(gl.TEXTURE_2D, key, gl.NEAREST)
      for (const key of [gl.TEXTURE_WRAP_S, gl.TEXTURE_WRAP_T]) gl.texParameteri(gl.TEXTURE_2D, key, gl.CLAMP_TO_EDGE)
      return texture
    }
    gl.activeTexture(gl.TEXTURE0)
    gl.pixelStorei(gl.UNPACK_ALIGNMENT, 1)
    const colours = make(gl.RGBA8)
    gl.texSubImage2D(gl.TEXTURE_2D, 0, 0, 0, width, height, gl.RGBA, gl.UNSIGNED_BYTE, frame.image)
    const depth = make(gl.R16UI)
    gl.texSubImage2D(gl.TEXTURE_2D, 0, 0, 0, width, height, gl.RED_INTEGER, gl.UNSIGNED_SHORT, frame.depth)
    const textures = { colours, depth, occlusion: make(gl.RG8) }
    this.applyRule(clip, frame.index, textures)
    return textures
  }

  /**
   * Uniforms and depth that the occlusion rule and the vertices share.
   * @param {Program} program
   * @param {Clip} clip
   * @param {number} index
   * @param {FrameTextures} textures
   */
  bindScene(program, clip, index, textures) {
    const gl = this.gl
    const h = withLensOf(clip.header, index)
    gl.useProgram(program.program)
    gl.activeTexture(gl.TEXTURE0)
    gl.bindTexture(gl.TEXTURE_2D, textures.depth)
    gl.uniform1i(program.at('depthLevels'), 0)
    gl.uniform2i(program.at('size'), h.width, h.height)
    gl.uniform2f(program.at('inverseDepth'), (1 / h.near - 1 / h.far) / h.levels, 1 / h.far)
    gl.uniform1f(program.at('borderDepth'), h.border_depth)
    gl.uniform1f(program.at('pixelOffset'), h.style === 'paper' ? 0.5 : 0)
    gl.uniform4f(program.at('source'), h.intrinsics.fx, h.intrinsics.fy, h.intrinsics.cx, h.intrinsics.cy)
    gl.uniform1i(program.at('paper'), h.style === 'paper' ? 1 : 0)
  }

  /** @param {Clip} clip @param {number} index @param {FrameTextures} textures */
  applyRule(clip, index, textures) {
    const { gl, rule } = this
    const { width, height, min_angle: angle, max_jump: jump } = clip.header
    const cosine = Math.cos((angle * Math.PI) / 180)
    this.bindScene(rule, clip, index, textures)
    gl.uniform1f(rule.at('angleLimit'), 4 * cosine * cosine)
    gl.uniform1f(rule.at('maxJump'), jump ?? 1e30)
    gl.bindFramebuffer(gl.FRAMEBUFFER, this.ruleTarget)
    gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.TEXTURE_2D, textures.occlusion, 0)
    gl.viewport(0, 0, width, height)
    gl.disable(gl.DEPTH_TEST)
    gl.disable(gl.BLEND)
    gl.bindVertexArray(this.empty)
    gl.drawArrays(gl.TRIANGLES, 0, 3)
    gl.bindFramebuffer(gl.FRAMEBUFFER, null)
  }

  /** @param {Program} program @param {FrameTextures} textures */
  bindColours(program, textures) {
    const gl = this.gl
    gl.activeTexture(gl.TEXTURE1)
    gl.bindTexture(gl.TEXTURE_2D, textures.colours)
    gl.uniform1i(program.at('colours'), 1)
    gl.activeTexture(gl.TEXTURE2)
    gl.bindTexture(gl.TEXTURE_2D, textures.occlusion)
    gl.uniform1i(program.at('occlusion'), 2)
    gl.activeTexture(gl.TEXTURE0)
  }

  /**
   * Unprojects a frame into the vertex buffer, unless it is there. Changes the bound framebuffer where the frame is
   * new.
   * @param {Clip} clip @param {number} index @param {number} step of the grid that will be drawn
   */
  fill(clip, index, step) {
    const textures = this.texturesOf(clip, index)
    const { gl, points, filled } = this
    if (filled?.clip === clip && filled.index === index && filled.step === step) return
    const columns = gridStops(clip.header.width, step).length
    const rows = gridStops(clip.header.height, step).length
    const count = columns * rows + 1
    const bytes = 4 * VERTEX_FLOATS * count
    this.bindScene(points, clip, index, textures)
    this.bindColours(points, textures)
    gl.uniform1i(points.at('gridStep'), step)
    gl.uniform2i(points.at('gridSize'), columns, rows)
    gl.bindVertexArray(this.empty)
    gl.bindBuffer(gl.ARRAY_BUFFER, this.buffer)
    if (this.bytes < bytes) {
      gl.bufferData(gl.ARRAY_BUFFER, bytes, gl.DYNAMIC_COPY)
      this.bytes = bytes
    }
    // A buffer must not be bound elsewhere while it is captured into.
    gl.bindBuffer(gl.ARRAY_BUFFER, null)
    gl.bindTransformFeedback(gl.TRANSFORM_FEEDBACK, this.feedback)
    gl.bindBufferBase(gl.TRANSFORM_FEEDBACK_BUFFER, 0, this.buffer)
    gl.enable(gl.RASTERIZER_DISCARD)
    gl.beginTransformFeedback(gl.POINTS)
    gl.drawArrays(gl.POINTS, 0, count)
    gl.endTransformFeedback()
    gl.disable(gl.RASTERIZER_DISCARD)
    gl.bindBufferBase(gl.TRANSFORM_FEEDBACK_BUFFER, 0, null)
    gl.bindTransformFeedback(gl.TRANSFORM_FEEDBACK, null)
    this.filled = { clip, index, step }
  }

  /** @param {Clip} clip @param {number} step */
  gridOf(clip, step) {
    const gl = this.gl
    const { width, height, style } = clip.header
    const name = `${width}x${height} ${style} ${step}`
    let grid = this.grids.get(name)
    if (!grid) {
      const array = /** @type {WebGLVertexArrayObject} */ (gl.createVertexArray())
      gl.bindVertexArray(array)
      gl.bindBuffer(gl.ARRAY_BUFFER, this.buffer)
      let offset = 0
      VERTEX.forEach((count, location) => {
        gl.enableVertexAttribArray(location)
        gl.vertexAttribPointer(location, count, gl.FLOAT, false, 4 * VERTEX_FLOATS, 4 * offset)
        offset += count
      })
      gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, gl.createBuffer())
      const indices = gridIndices(width, height, style, step)
      gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, indices, gl.STATIC_DRAW)
      grid = {
        array,
        count: indices.length,
        type: indices instanceof Uint16Array ? gl.UNSIGNED_SHORT : gl.UNSIGNED_INT
      }
      this.grids.set(name, grid)
    }
    return grid
  }

  /**
   * Draws a frame with a program that has its uniforms of view and mode.
   * @param {Program} program
   * @param {Clip} clip
   * @param {number} index
   * @param {number} step
   */
  draw(program, clip, index, step) {
    const gl = this.gl
    if (clip.header.style === 'paper') this.bindColours(program, this.texturesOf(clip, index))
    const grid = this.gridOf(clip, step)
    gl.bindVertexArray(grid.array)
    gl.drawElements(gl.TRIANGLES, grid.count, grid.type, 0)
  }

  /**
   * Draws a frame's vertices as points with a program that has its uniforms of view and mode.
   * @param {Program} program
   * @param {Clip} clip
   * @param {number} index
   * @param {number} step
   */
  drawPoints(program, clip, index, step) {
    const gl = this.gl
    const { width, height, intrinsics } = withLensOf(clip.header, index)
    this.bindColours(program, this.texturesOf(clip, index))
    gl.uniform2i(program.at('size'), width, height)
    gl.uniform1f(program.at('spread'), step / Math.sqrt(intrinsics.fx * intrinsics.fy))
    gl.bindVertexArray(this.gridOf(clip, step).array)
    gl.drawArrays(gl.POINTS, 0, gridStops(width, step).length * gridStops(height, step).length)
  }
}
