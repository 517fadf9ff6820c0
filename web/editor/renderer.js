/**
 * Draws preview meshes with WebGL2. One renderer (one context, off screen) serves every camera node of the page, since
 * browsers allow only a few contexts; the views copy its picture into their own canvas.
 *
 * @import { Camera } from './math.js'
 * @import { PreviewHeader } from './preview.js'
 * @typedef {'colour' | 'mask' | 'checker' | 'scene' | 'unfaded'} DrawMode the last as 'checker', colours not fading towards
 *   holes
 * @typedef {object} Scene what to draw
 * @property {Clip | null} clip
 * @property {number} index stored frame of the clip, -1 = none
 * @property {Camera} camera
 * @property {Camera} [meshCamera] the same in the frame of the source camera, where that moves
 * @property {number} width pixels
 * @property {number} height
 * @property {DrawMode} mode
 * @property {number} [step] 2 = every second row and column of the preview
 * @property {boolean} [points] vertices in place of faces
 * @property {boolean} [memory] holes filled from the clip's memory, where it has one
 * @property {number} [near] nearest depth that is drawn
 * @property {{centre: [number, number, number], tint: [number, number, number, number], cell: number} | null} [ground]
 */
import { Clip } from './clip.js'
import { FrameMesh } from './frameMesh.js'
import { GROUND_CELLS, groundLines } from './grid.js'
import { clipMatrix, IDENTITY_POSE } from './math.js'
import { MemoryLayer } from './memoryLayer.js'
import { buildProgram } from './program.js'
import { dotFragment, dotVertex, lineFragment, lineVertex, meshFragment, meshVertex } from './shaders.js'

const MODES = { colour: 0, mask: 1, checker: 2, scene: 3, unfaded: 4 }
const [NEAR, FAR] = [1e-3, 1e3]

/**
 * The planes between which Python renders the shot: the published ones, both farther by one factor where the back plate
 * is, whatever the scene's unit, and near in front of a tiny scene.
 * @param {PreviewHeader | undefined} header
 */
export function shotRange(header) {
  const grown = Math.max(1, (10 * (header?.border_depth ?? 0)) / FAR)
  return { near: Math.min(NEAR * grown, 0.2 * (header?.near ?? Infinity)), far: FAR * grown }
}

const SOFTWARE = /swiftshader|llvmpipe|softpipe|basic render|software/i

/** Programs and buffers of a context; made anew after it was lost. @param {WebGL2RenderingContext} gl */
function buildTools(gl) {
  const ground = gl.createVertexArray()
  gl.bindVertexArray(ground)
  gl.bindBuffer(gl.ARRAY_BUFFER, gl.createBuffer())
  const lines = groundLines()
  gl.bufferData(gl.ARRAY_BUFFER, lines, gl.STATIC_DRAW)
  gl.enableVertexAttribArray(0)
  gl.vertexAttribPointer(0, 3, gl.FLOAT, false, 0, 0)
  return {
    shade: {
      released: buildProgram(gl, meshVertex('released'), meshFragment('released')),
      paper: buildProgram(gl, meshVertex('paper'), meshFragment('paper'))
    },
    dot: buildProgram(gl, dotVertex, dotFragment),
    largestDot: gl.getParameter(gl.ALIASED_POINT_SIZE_RANGE)[1],
    line: buildProgram(gl, lineVertex, lineFragment),
    mesh: new FrameMesh(gl),
    /** Made once there is a memory. @type {MemoryLayer | null} */
    memory: null,
    ground,
    groundCount: lines.length / 3,
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
    const gl = this.canvas.getContext('webgl2', {
      antialias: false,
      alpha: true,
      depth: true,
      powerPreference: 'high-performance'
    })
    if (!gl) throw new Error('This browser gives the page no WebGL2, so the scene cannot be drawn in 3D.')
    this.gl = gl
    this.lost = false
    const names = gl.getExtension('WEBGL_debug_renderer_info')
    /** Whether the graphics are emulated by the processor. */
    this.software = SOFTWARE.test(
      String(names ? gl.getParameter(names.UNMASKED_RENDERER_WEBGL) : gl.getParameter(gl.RENDERER))
    )
    /** Whether `warm` has run. */
    this.warmed = false
    /** @type {Set<() => void>} */
    this.listeners = new Set()
    this.canvas.addEventListener('webglcontextlost', (event) => {
      event.preventDefault()
      this.lost = true
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
    clip.release = null
    if (this.lost) return
    this.tools.mesh.forget(clip)
    this.tools.memory?.forget(clip)
  }

  /**
   * Has a scene's frame on the GPU; binds framebuffers of its own.
   * @param {Scene} scene
   * @returns {boolean} whether there is a frame to draw
   */
  prepare({ clip, index, step = 1 }) {
    if (!clip?.frames[index]) return false
    clip.release ??= () => this.forget(clip)
    this.tools.mesh.fill(clip, index, step)
    return true
  }

  /**
   * Draws into a framebuffer, null = the canvas.
   * @param {WebGLFramebuffer | null} target @param {Scene} scene
   */
  draw(target, scene) {
    const { gl, tools } = this
    const { clip, index, camera, meshCamera = camera, width, height, mode, step = 1 } = scene
    // Filling takes several times as long as the rest: a machine that is too slow for it does it at rest.
    const fills = scene.memory && !scene.points && step === 1
    if (!fills || !clip?.memory || !clip.frames[index]) return this.drawMesh(target, scene)
    const memory = (tools.memory ??= new MemoryLayer(gl))
    memory.fit(width, height)
    this.drawMesh(memory.own.frame, { ...scene, mode: 'unfaded' })
    const { near, far } = shotRange(clip.header)
    gl.enable(gl.SCISSOR_TEST)
    memory.draw(target, { clip, index, camera: meshCamera, width, height, mode: MODES[mode] }, [near, far])
    gl.disable(gl.SCISSOR_TEST)
  }

  /** What the frame itself saw. @param {WebGLFramebuffer | null} target @param {Scene} scene */
  drawMesh(target, scene) {
    const gl = this.gl
    const {
      clip,
      index,
      camera,
      meshCamera = camera,
      width,
      height,
      mode,
      step = 1,
      points = false,
      near = shotRange(clip?.header).near,
      ground = null
    } = scene
    const there = this.prepare(scene)
    gl.bindFramebuffer(gl.FRAMEBUFFER, target)
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
    if (clip && there) {
      const matrix = clipMatrix(meshCamera, near, far)
      const shade = points ? this.tools.dot : this.tools.shade[clip.header.style]
      gl.useProgram(shade.program)
      gl.uniformMatrix4fv(shade.at('clipFromWorld'), true, matrix)
      gl.uniform1i(shade.at('mode'), MODES[mode])
      if (points) {
        const { fx, fy } = meshCamera.intrinsics
        gl.uniform1f(shade.at('focal'), Math.sqrt(fx * fy))
        gl.uniform1f(shade.at('largest'), this.tools.largestDot)
        this.tools.mesh.drawPoints(shade, clip, index, step)
      } else this.tools.mesh.draw(shade, clip, index, step)
    }
    if (ground) this.drawGround(ground, camera, near, far)
    gl.disable(gl.SCISSOR_TEST)
  }

  /**
   * @param {{centre: [number, number, number], tint: [number, number, number, number], cell: number}} ground
   * @param {Camera} camera
   * @param {number} near
   * @param {number} far
   */
  drawGround(ground, camera, near, far) {
    const { gl } = this
    const line = this.tools.line
    const { pose, intrinsics } = camera
    // Grid cells become the unit: the pose's translation shrinks instead of the lines growing.
    const scaled = Array.from(pose)
    for (const i of [3, 7, 11]) scaled[i] /= ground.cell
    gl.useProgram(line.program)
    const matrix = clipMatrix({ pose: scaled, intrinsics }, near / ground.cell, far / ground.cell)
    gl.uniformMatrix4fv(line.at('clipFromWorld'), true, matrix)
    gl.uniform3f(
      line.at('centre'),
      ground.centre[0] / ground.cell,
      ground.centre[1] / ground.cell,
      ground.centre[2] / ground.cell
    )
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
   * @param {CanvasRenderingContext2D} target
   * @param {Scene} scene
   */
  paint(target, scene) {
    if (this.lost) return
    const { width, height } = scene
    if (this.canvas.width < width || this.canvas.height < height) {
      this.canvas.width = Math.max(width, this.canvas.width)
      this.canvas.height = Math.max(height, this.canvas.height)
    }
    this.draw(null, scene)
    target.drawImage(this.canvas, 0, this.canvas.height - height, width, height, 0, 0, width, height)
  }

  /** Draws off screen; that picture is then bound for reading. @param {Scene} scene */
  drawOffscreen(scene) {
    const { gl, tools } = this
    const { width, height } = scene
    if (tools.offscreenSize[0] !== width || tools.offscreenSize[1] !== height) {
      gl.bindFramebuffer(gl.FRAMEBUFFER, tools.offscreen)
      gl.bindRenderbuffer(gl.RENDERBUFFER, tools.offscreenColour)
      gl.renderbufferStorage(gl.RENDERBUFFER, gl.RGBA8, width, height)
      gl.framebufferRenderbuffer(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.RENDERBUFFER, tools.offscreenColour)
      gl.bindRenderbuffer(gl.RENDERBUFFER, tools.offscreenDepth)
      gl.renderbufferStorage(gl.RENDERBUFFER, gl.DEPTH_COMPONENT24, width, height)
      gl.framebufferRenderbuffer(gl.FRAMEBUFFER, gl.DEPTH_ATTACHMENT, gl.RENDERBUFFER, tools.offscreenDepth)
      tools.offscreenSize = [width, height]
    }
    this.draw(tools.offscreen, scene)
  }

  /**
   * Draws off screen and reads the picture back.
   * @param {Scene} scene
   * @returns {Uint8Array<ArrayBuffer>} RGBA, top row first
   */
  read(scene) {
    const { gl } = this
    const { width, height } = scene
    this.drawOffscreen(scene)
    const upsideDown = new Uint8Array(width * height * 4)
    gl.readPixels(0, 0, width, height, gl.RGBA, gl.UNSIGNED_BYTE, upsideDown)
    gl.bindFramebuffer(gl.FRAMEBUFFER, null)
    const out = new Uint8Array(upsideDown.length)
    const row = width * 4
    for (let y = 0; y < height; y++) out.set(upsideDown.subarray((height - 1 - y) * row, (height - y) * row), y * row)
    return out
  }

  /**
   * Until the graphics have done all that they were told so far; the page goes on meanwhile.
   * @returns {Promise<boolean>} false = the context is lost
   */
  async finished() {
    const { gl } = this
    const fence = gl.fenceSync(gl.SYNC_GPU_COMMANDS_COMPLETE, 0)
    if (!fence) return false
    gl.flush()
    let state
    do {
      await new Promise((done) => setTimeout(done, FENCE_EVERY))
      state = gl.clientWaitSync(fence, 0, 0)
    } while (state === gl.TIMEOUT_EXPIRED)
    gl.deleteSync(fence)
    return state !== gl.WAIT_FAILED && !this.lost
  }

  /**
   * Share of pixels that are holes in a camera's view, from a small picture. The page does not wait for it.
   * @param {Clip} clip
   * @param {number} index
   * @param {Camera} camera
   * @param {boolean} memory whether they are filled from it
   * @returns {Promise<number>} 0..1, -1 = the context is lost
   */
  async holeShare(clip, index, camera, memory) {
    const { gl } = this
    const size = HOLE_SAMPLES
    const pixels = new Uint8Array(size * size * 4)
    this.drawOffscreen({ clip, index, camera, width: size, height: size, mode: 'mask', memory })
    const buffer = gl.createBuffer()
    gl.bindBuffer(gl.PIXEL_PACK_BUFFER, buffer)
    gl.bufferData(gl.PIXEL_PACK_BUFFER, pixels.length, gl.STREAM_READ)
    gl.readPixels(0, 0, size, size, gl.RGBA, gl.UNSIGNED_BYTE, 0)
    gl.bindBuffer(gl.PIXEL_PACK_BUFFER, null)
    gl.bindFramebuffer(gl.FRAMEBUFFER, null)
    if (!(await this.finished())) return -1
    gl.bindBuffer(gl.PIXEL_PACK_BUFFER, buffer)
    gl.getBufferSubData(gl.PIXEL_PACK_BUFFER, 0, pixels)
    gl.bindBuffer(gl.PIXEL_PACK_BUFFER, null)
    gl.deleteBuffer(buffer)
    let seen = 0
    for (let i = 0; i < pixels.length; i += 4) if (pixels[i] > 127) seen++
    return 1 - seen / (size * size)
  }

  /**
   * Draws a tiny scene in every way the views do: graphics drivers finish a program at its first use, not when they
   * compile it.
   */
  warm() {
    if (this.warmed || this.lost) return
    this.warmed = true
    const size = 8
    const context = make2D(this.software)
    for (const style of /** @type {const} */ (['released', 'paper'])) {
      const clip = new Clip({ ...BLANK, style, width: size, height: size })
      clip.receive({
        index: 0,
        image: /** @type {any} */ (new ImageData(size, size)),
        depth: new Uint16Array(size * size)
      })
      const scene = {
        clip,
        index: 0,
        camera: {
          pose: IDENTITY_POSE,
          intrinsics: { fx: size, fy: size, cx: size / 2, cy: size / 2, width: size, height: size }
        },
        width: size,
        height: size
      }
      this.paint(context, { ...scene, mode: 'scene', ground: { centre: [0, 1, 1], tint: [1, 1, 1, 1], cell: 1 } })
      this.paint(context, { ...scene, mode: 'checker' })
      this.read({ ...scene, mode: 'mask' })
      this.forget(clip)
    }
  }

  /** Ends the context when the last editor has gone. */
  dispose() {
    this.gl.getExtension('WEBGL_lose_context')?.loseContext()
  }
}

const HOLE_SAMPLES = 96
/** Milliseconds between looks whether the graphics are done. */
const FENCE_EVERY = 4
/** @type {Omit<PreviewHeader, 'style' | 'width' | 'height'>} */
const BLANK = {
  version: 1,
  frames: 1,
  clip_frames: 1,
  frame_numbers: [0],
  near: 1,
  far: 2,
  levels: 1,
  min_angle: 0,
  max_jump: null,
  border_depth: 2,
  radius: 1,
  pivot: [0, 0, 1],
  intrinsics: { fx: 8, fy: 8, cx: 4, cy: 4 },
  source: [8, 8],
  sizes: [[0, 0]]
}

/** A small 2D picture to copy into. @param {boolean} software */
const make2D = (software) =>
  /** @type {CanvasRenderingContext2D} */ (
    document.createElement('canvas').getContext('2d', { willReadFrequently: software })
  )

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
