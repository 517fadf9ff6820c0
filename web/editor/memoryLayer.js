/**
 * A clip's memory on the GPU, laid into the holes of a shot as `ex4d_core/render/recall.py` does it: the nearest remembered
 * surface on a pixel's ray, unless that shows its back or lies behind something solid.
 *
 * @import { Clip } from './clip.js'
 * @import { Camera } from './math.js'
 * @import { SceneMemory } from './sceneMemory.js'
 * @typedef {object} Shot
 * @property {Clip} clip
 * @property {number} index stored frame of the clip
 * @property {Camera} camera in the frame of the source camera at that frame
 * @property {number} width pixels
 * @property {number} height
 * @property {number} mode that the picture has in the end
 */
import { IDENTITY_POSE, clipMatrix, resized } from './math.js'
import { buildProgram } from './program.js'
import { VERTEX_BYTES, layerOf } from './sceneMemory.js'
import { filledFragment, fullScreenVertex, rememberedFragment, rememberedVertex } from './shaders.js'
import { poseAt, seenFrom, withLensOf } from './sourceCamera.js'

/** Of a ray's way through what is solid, at most: as many as the renderer takes. */
const STEPS = 256

export class MemoryLayer {
  /** @param {WebGL2RenderingContext} gl */
  constructor(gl) {
    this.gl = gl
    this.remembered = buildProgram(gl, rememberedVertex, rememberedFragment)
    this.filled = buildProgram(gl, fullScreenVertex, filledFragment)
    this.empty = gl.createVertexArray()
    this.array = /** @type {WebGLVertexArrayObject} */ (gl.createVertexArray())
    this.vertices = gl.createBuffer()
    this.indices = gl.createBuffer()
    this.count = 0
    /** Whose surface and witnesses are here. @type {SceneMemory | null} */
    this.memory = null
    /** The frame of its clip whose solids are here. */
    this.index = -1
    this.witnesses = gl.createTexture()
    this.solids = gl.createTexture()
    /** What the frame saw, and what is remembered, each a picture of its own. */
    this.own = this.makeTarget([gl.RGBA8])
    this.layer = this.makeTarget([gl.RGBA8, gl.R32UI])
    this.size = [0, 0]
  }

  /** @param {number[]} formats of its pictures */
  makeTarget(formats) {
    const { gl } = this
    return {
      formats,
      frame: gl.createFramebuffer(),
      depth: gl.createRenderbuffer(),
      pictures: formats.map(() => gl.createTexture())
    }
  }

  /** Has room for a picture. @param {number} width @param {number} height */
  fit(width, height) {
    const { gl, size } = this
    if (size[0] >= width && size[1] >= height) return
    this.size = [Math.max(width, size[0]), Math.max(height, size[1])]
    for (const target of [this.own, this.layer]) {
      gl.bindFramebuffer(gl.FRAMEBUFFER, target.frame)
      gl.bindRenderbuffer(gl.RENDERBUFFER, target.depth)
      gl.renderbufferStorage(gl.RENDERBUFFER, gl.DEPTH_COMPONENT24, this.size[0], this.size[1])
      gl.framebufferRenderbuffer(gl.FRAMEBUFFER, gl.DEPTH_ATTACHMENT, gl.RENDERBUFFER, target.depth)
      const attached = target.formats.map((format, i) => {
        gl.deleteTexture(target.pictures[i])
        target.pictures[i] = gl.createTexture()
        this.nearest(gl.TEXTURE_2D, target.pictures[i])
        gl.texStorage2D(gl.TEXTURE_2D, 1, format, this.size[0], this.size[1])
        gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0 + i, gl.TEXTURE_2D, target.pictures[i], 0)
        return gl.COLOR_ATTACHMENT0 + i
      })
      gl.drawBuffers(attached)
    }
  }

  /** Binds a texture that is read by whole texels. @param {number} kind @param {WebGLTexture} texture */
  nearest(kind, texture) {
    const { gl } = this
    gl.activeTexture(gl.TEXTURE0)
    gl.bindTexture(kind, texture)
    for (const key of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER]) gl.texParameteri(kind, key, gl.NEAREST)
  }

  /**
   * Has a clip's surface, and the solids of one of its frames.
   * @param {SceneMemory} memory @param {Clip} clip @param {number} index
   */
  fill(memory, clip, index) {
    const { gl } = this
    const { cells, frames } = memory.header
    const room = /** @type {const} */ ([gl.RGB_INTEGER, gl.UNSIGNED_SHORT])
    gl.pixelStorei(gl.UNPACK_ALIGNMENT, 1)
    if (this.memory !== memory) {
      const { vertices, indices } = layerOf(memory, clip, pixelsOf)
      gl.bindVertexArray(this.array)
      gl.bindBuffer(gl.ARRAY_BUFFER, this.vertices)
      gl.bufferData(gl.ARRAY_BUFFER, vertices, gl.STATIC_DRAW)
      gl.enableVertexAttribArray(0)
      gl.vertexAttribPointer(0, 3, gl.FLOAT, false, VERTEX_BYTES, 0)
      gl.enableVertexAttribArray(1)
      gl.vertexAttribPointer(1, 4, gl.UNSIGNED_BYTE, true, VERTEX_BYTES, 12)
      gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, this.indices)
      gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, indices, gl.STATIC_DRAW)
      gl.bindVertexArray(null)
      this.count = indices.length
      this.nearest(gl.TEXTURE_2D_ARRAY, this.witnesses)
      const depth = Math.max(1, frames.length)
      gl.texImage3D(gl.TEXTURE_2D_ARRAY, 0, gl.RGB16UI, cells[0], cells[1], depth, 0, ...room, null)
      frames.forEach((frame, k) =>
        gl.texSubImage3D(gl.TEXTURE_2D_ARRAY, 0, 0, 0, k, cells[0], cells[1], 1, ...room, memory.solids[frame])
      )
    }
    if (this.memory !== memory || this.index !== index) {
      this.nearest(gl.TEXTURE_2D, this.solids)
      gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGB16UI, cells[0], cells[1], 0, ...room, memory.solids[index])
    }
    this.memory = memory
    this.index = index
  }

  /** Lets go of a clip. @param {Clip} clip */
  forget(clip) {
    if (this.memory === clip.memory) this.memory = null
  }

  /**
   * Draws what is remembered into a picture of its own.
   * @param {Shot} shot @param {ArrayLike<number>} pose of the camera in the world @param {[number, number]} range near, far
   */
  drawRemembered({ camera, width, height }, pose, [near, far]) {
    const { gl, remembered } = this
    gl.bindFramebuffer(gl.FRAMEBUFFER, this.layer.frame)
    gl.viewport(0, 0, width, height)
    gl.scissor(0, 0, width, height)
    gl.clear(gl.DEPTH_BUFFER_BIT)
    gl.clearBufferfv(gl.COLOR, 0, [0, 0, 0, 0])
    gl.clearBufferuiv(gl.COLOR, 1, [0, 0, 0, 0])
    gl.useProgram(remembered.program)
    gl.uniformMatrix4fv(remembered.at('clipFromWorld'), true, clipMatrix({ ...camera, pose }, near, far))
    gl.bindVertexArray(this.array)
    gl.drawElements(gl.TRIANGLES, this.count, gl.UNSIGNED_INT, 0)
    gl.bindVertexArray(null)
  }

  /**
   * Lays what is remembered into the holes of the picture that was drawn into `own`, and both into a framebuffer.
   * @param {WebGLFramebuffer | null} target
   * @param {Shot} shot
   * @param {[number, number]} range near, far
   */
  draw(target, shot, range) {
    const { gl, filled } = this
    const { clip, index, camera, width, height, mode } = shot
    const memory = /** @type {SceneMemory} */ (clip.memory)
    const { frames, cell, near, levels, tolerance } = memory.header
    this.fill(memory, clip, index)
    const pose = seenFrom(camera.pose, seenFrom(IDENTITY_POSE, poseAt(clip.header, index)))
    this.drawRemembered(shot, pose, range)
    gl.bindFramebuffer(gl.FRAMEBUFFER, target)
    gl.viewport(0, 0, width, height)
    gl.scissor(0, 0, width, height)
    gl.disable(gl.DEPTH_TEST)
    gl.useProgram(filled.program)
    const pictures = [...this.own.pictures, ...this.layer.pictures, this.solids]
    ;['own', 'layer', 'nearness', 'solids'].forEach((name, i) => {
      gl.activeTexture(gl.TEXTURE0 + i)
      gl.bindTexture(gl.TEXTURE_2D, pictures[i])
      gl.uniform1i(filled.at(name), i)
    })
    gl.activeTexture(gl.TEXTURE4)
    gl.bindTexture(gl.TEXTURE_2D_ARRAY, this.witnesses)
    gl.uniform1i(filled.at('witnesses'), 4)
    gl.activeTexture(gl.TEXTURE0)
    const asked = [index, ...frames]
    const lenses = asked.map((frame) => withLensOf(clip.header, frame).intrinsics)
    const ways = asked.map((frame) => seenFrom(poseAt(clip.header, frame), pose))
    gl.uniform4fv(
      filled.at('cells'),
      lenses.flatMap(({ fx, fy, cx, cy }) => [fx, fy, cx, cy].map((v) => v / cell))
    )
    gl.uniformMatrix4fv(filled.at('toWitness'), true, new Float32Array(ways.flatMap((way) => Array.from(way))))
    gl.uniform1i(filled.at('count'), frames.length)
    gl.uniform1f(filled.at('tolerance'), tolerance)
    gl.uniform1f(filled.at('near'), range[0])
    gl.uniform1f(filled.at('scale'), near * levels)
    gl.uniform1i(filled.at('steps'), STEPS)
    gl.uniform1i(filled.at('mode'), mode)
    gl.uniform1f(filled.at('height'), height)
    const { fx, fy, cx, cy } = resized(camera.intrinsics, width, height)
    gl.uniform4f(filled.at('lens'), fx, fy, cx, cy)
    gl.bindVertexArray(this.empty)
    gl.drawArrays(gl.TRIANGLES, 0, 3)
    gl.enable(gl.DEPTH_TEST)
  }
}

/** RGBA of a picture, which no canvas has changed. @param {ImageBitmap} image */
function pixelsOf(image) {
  const { width, height } = image
  const canvas = new OffscreenCanvas(width, height)
  const context = /** @type {OffscreenCanvasRenderingContext2D} */ (
    canvas.getContext('2d', { willReadFrequently: true })
  )
  context.drawImage(image, 0, 0)
  return context.getImageData(0, 0, width, height).data
}
