/**
 * A clip's preview as it arrives. The decoded frames stay here, for a lost graphics context and for picking.
 *
 * @import { PreviewFrame, PreviewHeader } from './preview.js'
 * @import { SceneMemory } from './sceneMemory.js'
 */

let clips = 0

export class Clip {
  /** @param {PreviewHeader} header */
  constructor(header) {
    this.header = header
    /** @type {(PreviewFrame | null)[]} */
    this.frames = new Array(header.frames).fill(null)
    this.loaded = 0
    /** What its frames saw of each other's holes, once that has arrived. @type {SceneMemory | null} */
    this.memory = null
    /** Tells clips apart. */
    this.serial = ++clips
    /** Frees what the renderer holds of the clip. @type {(() => void) | null} */
    this.release = null
  }

  /** @param {PreviewFrame} frame */
  receive(frame) {
    this.frames[frame.index] = frame
    this.loaded++
  }

  /**
   * The stored frame that shows clip frame `number`, among those that have arrived.
   * @param {number} number
   * @returns {number} -1 = none
   */
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
    for (const frame of this.frames) frame?.image.close()
    this.frames.fill(null)
    this.release?.()
  }
}
