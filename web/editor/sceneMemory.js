/**
 * What other frames of a clip saw: the memory file of `ex4d_core/preview/memory_file.py`, and the surface that it describes.
 *
 * @import { PreviewFrame, PreviewHeader } from './preview.js'
 * @typedef {{header: PreviewHeader, frames: (PreviewFrame | null)[]}} Frames of a clip, as they arrive
 * @typedef {{version: number, frames: number[], cell: number, cells: [number, number], near: number, levels: number,
 *   tolerance: number, quads: number[], solids: [number, number, number][]}} MemoryHeader
 * @typedef {{header: MemoryHeader, quads: Uint8Array[], solids: Uint16Array[]}} SceneMemory quads: per remembered frame
 *   one byte a quad; solids: per frame of the clip begin, end (levels of inverse depth, 0 = endless) and whether it moves of
 *   each cell
 * @typedef {{vertices: ArrayBuffer, indices: Uint32Array<ArrayBuffer>}} Layer per vertex three floats of its place in the
 *   world and four bytes of its colour
 */
import { depthOf, inflate, unpackDepth } from './preview.js'
import { inWorld, poseAt, withLensOf } from './sourceCamera.js'

export const MEMORY_MAGIC = 'EX4DMEM1'
/** Bytes of a vertex. */
export const VERTEX_BYTES = 16

/** What the name of a scene file and of its memories begins with. @param {string} filename */
export const sceneOf = (filename) => filename.split('.')[0]

/** Whether a memory file was made of a scene file. @param {string} memory @param {string} scene names */
export const belongsTo = (memory, scene) => sceneOf(memory) === sceneOf(scene)

/** One byte a mark. @param {Uint8Array} bits @param {number} count */
function unpackBits(bits, count) {
  if (bits.length !== Math.ceil(count / 8)) throw damaged()
  const out = new Uint8Array(count)
  for (let i = 0; i < count; i++) out[i] = (bits[i >> 3] >> (7 - (i & 7))) & 1
  return out
}

const damaged = () => new Error('The file is damaged or of another version.')

/**
 * Loads a memory.
 * @param {string} url
 * @param {Frames} clip that it belongs to
 * @param {AbortSignal} [signal]
 * @returns {Promise<SceneMemory>}
 */
export async function loadMemory(url, clip, signal) {
  const response = await fetch(url, { signal })
  if (!response.ok) throw new Error(`The server answered ${response.status}.`)
  return readMemory(await response.arrayBuffer(), clip)
}

/** @param {ArrayBuffer} data @param {Pick<Frames, 'header'>} clip @returns {Promise<SceneMemory>} */
export async function readMemory(data, clip) {
  if (data.byteLength < 12 || String.fromCharCode(...new Uint8Array(data, 0, 8)) !== MEMORY_MAGIC) throw damaged()
  let at = 12 + new DataView(data).getUint32(8, true)
  if (at > data.byteLength) throw damaged()
  /** @type {MemoryHeader} */
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(data, 12, at - 12)))
  const { width, height, frames } = clip.header
  const sizes = [...header.quads, ...header.solids.flat()]
  const whole = at + sizes.reduce((sum, size) => sum + size, 0) === data.byteLength
  if (header.version !== 1 || header.solids.length !== frames || header.quads.length !== header.frames.length || !whole)
    throw damaged()
  const parts = await Promise.all(
    sizes.map((size) => {
      at += size
      return inflate(new Uint8Array(data, at - size, size))
    })
  )
  const quads = header.frames.map((_, i) => unpackBits(parts[i], (width - 1) * (height - 1)))
  const solids = header.solids.map((_, i) =>
    solidOf(header, parts.slice(quads.length + 3 * i, quads.length + 3 * i + 3))
  )
  return { header, quads, solids }
}

/** Begin, end and motion of a frame's cells, side by side. @param {MemoryHeader} header @param {Uint8Array[]} parts */
function solidOf({ cells: [columns, rows] }, [begin, end, moving]) {
  const count = columns * rows
  const [first, last] = [unpackDepth(begin, columns, rows), unpackDepth(end, columns, rows)]
  const moves = unpackBits(moving, count)
  const out = new Uint16Array(3 * count)
  for (let i = 0; i < count; i++) {
    out[3 * i] = first[i]
    out[3 * i + 1] = last[i]
    out[3 * i + 2] = moves[i]
  }
  return out
}

/**
 * The remembered surface, from the samples of a clip that has arrived.
 * @param {SceneMemory} memory
 * @param {Frames} clip
 * @param {(image: ImageBitmap) => Uint8ClampedArray} pixelsOf RGBA of a picture
 * @returns {Layer}
 */
export function layerOf({ header: { frames }, quads }, clip, pixelsOf) {
  const { width, height } = clip.header
  const used = quads.reduce((sum, part) => sum + part.reduce((a, b) => a + b, 0), 0)
  const most = Math.min(4 * used, frames.length * width * height)
  const vertices = new ArrayBuffer(VERTEX_BYTES * most)
  const [places, colours] = [new Float32Array(vertices), new Uint8Array(vertices)]
  const indices = new Uint32Array(6 * used)
  let [count, n] = [0, 0]
  frames.forEach((frame, k) => {
    const { image, depth } = /** @type {PreviewFrame} */ (clip.frames[frame])
    const { near, far, levels, style, border_depth: border, intrinsics } = withLensOf(clip.header, frame)
    const pose = poseAt(clip.header, frame)
    const offset = style === 'paper' ? 0.5 : 0
    const pixels = pixelsOf(image)
    const numbers = new Int32Array(width * height).fill(-1)
    const vertex = (/** @type {number} */ column, /** @type {number} */ row) => {
      const sample = row * width + column
      if (numbers[sample] >= 0) return numbers[sample]
      const rim = column === 0 || row === 0 || column === width - 1 || row === height - 1
      const z = rim ? border : depthOf({ near, far, levels }, depth[sample])
      const x = ((column + offset - intrinsics.cx) / intrinsics.fx) * z
      const y = ((row + offset - intrinsics.cy) / intrinsics.fy) * z
      places.set(inWorld([x, y, z], pose), 4 * count)
      colours.set(pixels.subarray(4 * sample, 4 * sample + 4), VERTEX_BYTES * count + 12)
      return (numbers[sample] = count++)
    }
    for (let row = 0, quad = 0; row < height - 1; row++) {
      for (let column = 0; column < width - 1; column++, quad++) {
        if (!quads[k][quad]) continue
        const [upperLeft, upperRight] = [vertex(column, row), vertex(column + 1, row)]
        const [lowerLeft, lowerRight] = [vertex(column, row + 1), vertex(column + 1, row + 1)]
        indices.set([upperLeft, lowerLeft, upperRight, lowerLeft, lowerRight, upperRight], n)
        n += 6
      }
    }
  })
  return { vertices: vertices.slice(0, VERTEX_BYTES * count), indices }
}
