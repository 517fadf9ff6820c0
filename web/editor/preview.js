/**
 * Reads the preview file of `ex4d_core/preview/scene_file.py` while it arrives: header first, then frame after frame.
 *
 * @typedef {{version: number, width: number, height: number, frames: number, clip_frames: number,
 *   frame_numbers: number[], near: number, far: number, levels: number, style: 'released' | 'paper',
 *   min_angle: number, max_jump: number | null, border_depth: number, radius: number, pivot: [number, number, number],
 *   intrinsics: {fx: number, fy: number, cx: number, cy: number}, source: [number, number],
 *   sizes: [number, number][], source_poses?: number[][], source_lenses?: number[][]}} PreviewHeader the last two where the
 *   source camera moves: per stored frame the first three rows of world to camera, and fx, fy, cx, cy where they change
 * @typedef {{index: number, image: ImageBitmap, depth: Uint16Array}} PreviewFrame
 * @typedef {{filename: string, subfolder: string, type: string}} FileReference
 */

export const MAGIC = 'EX4DPRV1'
const LONGEST_HEADER = 1 << 20

/** A preview file that cannot be had or read; `gone` where the server no longer holds it. */
export class PreviewError extends Error {
  /** @param {string} message @param {boolean} [gone] */
  constructor(message, gone = false) {
    super(message)
    this.gone = gone
  }
}

/** Whether a value has the shape of a file reference of ours. @param {any} value @returns {value is FileReference} */
export function isReference(value) {
  return (
    !!value &&
    typeof value.filename === 'string' &&
    value.filename.length > 0 &&
    typeof value.subfolder === 'string' &&
    value.type === 'temp'
  )
}

/** Hands out exact byte counts of a stream. */
class ByteReader {
  /** @param {ReadableStream<Uint8Array>} stream */
  constructor(stream) {
    this.reader = stream.getReader()
    /** @type {Uint8Array[]} */
    this.parts = []
    this.held = 0
  }

  /** @param {number} count @returns {Promise<Uint8Array<ArrayBuffer>>} */
  async take(count) {
    while (this.held < count) {
      const { done, value } = await this.reader.read()
      if (done) throw new PreviewError('The preview file ends too early. Run the camera node again.')
      this.parts.push(value)
      this.held += value.length
    }
    const out = new Uint8Array(count)
    let filled = 0
    while (filled < count) {
      const part = this.parts[0]
      const used = Math.min(part.length, count - filled)
      out.set(part.subarray(0, used), filled)
      filled += used
      if (used === part.length) this.parts.shift()
      else this.parts[0] = part.subarray(used)
    }
    this.held -= count
    return out
  }
}

/** @param {PreviewHeader} header */
function checkHeader(header) {
  const finite = [header.near, header.far, header.radius, header.border_depth, header.levels].every(Number.isFinite)
  const sized = header.width > 1 && header.height > 1 && header.width * header.height <= 1 << 22
  const counted = Array.isArray(header.sizes) && header.frames > 0 && header.sizes.length === header.frames
  if (header.version !== 1 || !finite || !sized || !counted || !(header.near > 0 && header.far > header.near)) {
    throw new PreviewError('The preview file is damaged or of another version. Run the camera node again.')
  }
}

/** @param {Uint8Array<ArrayBuffer>} data @returns {Promise<Uint8Array>} */
export async function inflate(data) {
  const stream = new Blob([data]).stream().pipeThrough(new DecompressionStream('deflate'))
  return new Uint8Array(await new Response(stream).arrayBuffer())
}

/**
 * Undoes the packing of one frame: byte planes, zigzag, difference to the left neighbour.
 * @param {Uint8Array} bytes 2 * width * height @param {number} width @param {number} height @returns {Uint16Array}
 */
export function unpackDepth(bytes, width, height) {
  const count = width * height
  if (bytes.length !== 2 * count) throw new PreviewError('The preview file is damaged. Run the camera node again.')
  const out = new Uint16Array(count)
  for (let y = 0, at = 0; y < height; y++) {
    let previous = y > 0 ? out[at - width] : 0
    for (let x = 0; x < width; x++, at++) {
      const zigzag = (bytes[at] << 8) | bytes[count + at]
      previous = (previous + ((zigzag >> 1) ^ -(zigzag & 1))) & 0xffff
      out[at] = previous
    }
  }
  return out
}

/** Planar depth of a stored level. @param {Pick<PreviewHeader, 'near' | 'far' | 'levels'>} header @param {number} level */
export function depthOf(header, level) {
  return 1 / ((level / header.levels) * (1 / header.near - 1 / header.far) + 1 / header.far)
}

/**
 * Streams a preview.
 * @param {string} url
 * @param {{header: (header: PreviewHeader) => void, frame: (frame: PreviewFrame) => unknown}} receive `frame` may
 *   return a promise to wait for
 * @param {AbortSignal} [signal]
 */
export async function loadPreview(url, receive, signal) {
  const response = await fetch(url, { signal })
  if (!response.ok || !response.body) {
    const gone = response.status === 404
    const why = gone
      ? 'The preview of this scene is gone (ComfyUI empties its temp folder when it starts).'
      : `The preview could not be loaded (the server answered ${response.status}).`
    throw new PreviewError(`${why} Run the camera node again.`, gone)
  }
  const reader = new ByteReader(response.body)
  try {
    const start = await reader.take(12)
    if (String.fromCharCode(...start.subarray(0, 8)) !== MAGIC) {
      throw new PreviewError('This is no EX-4D preview file. Run the camera node again.')
    }
    const size = new DataView(start.buffer).getUint32(8, true)
    if (size > LONGEST_HEADER) throw new PreviewError('The preview file is damaged. Run the camera node again.')
    /** @type {PreviewHeader} */
    const header = JSON.parse(new TextDecoder().decode(await reader.take(size)))
    checkHeader(header)
    receive.header(header)
    for (let index = 0; index < header.frames; index++) {
      const [colourBytes, depthBytes] = header.sizes[index]
      const colour = await reader.take(colourBytes)
      const packed = await reader.take(depthBytes)
      const [image, planes] = await Promise.all([
        createImageBitmap(new Blob([colour], { type: 'image/jpeg' }), { colorSpaceConversion: 'none' }),
        inflate(packed)
      ])
      if (signal?.aborted) {
        image.close()
        throw signal.reason
      }
      await receive.frame({ index, image, depth: unpackDepth(planes, header.width, header.height) })
    }
  } finally {
    reader.reader.cancel().catch(() => {})
  }
}
