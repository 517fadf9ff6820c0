/**
 * The nodes' video previews play by themselves, silently and in a loop, as soon as they are there, and are no inputs:
 * the frontends would send them with the next prompt, and what has not changed would be computed again.
 *
 * @import { GraphNode } from './graphNode.js'
 * @import { Output } from './results.js'
 */
import { showResults } from './results.js'

const PREVIEW = 'video-preview'
/** A preview is looked for so often, with pauses of so many milliseconds. */
const TRIES = 40
const PAUSE = 150

/**
 * The video elements that show a node's output, in either renderer.
 * @param {GraphNode} node
 * @returns {HTMLVideoElement[]}
 */
function videosOf(node) {
  const classic = node.videoContainer?.querySelectorAll?.('video') ?? []
  /** @type {NodeListOf<HTMLVideoElement>} */
  const vue = document.querySelectorAll(`[data-node-id="${node.id}"] video`)
  return [...classic, ...vue]
}

/**
 * Start a node's previews, each once; the frontend adds them some time after the word of them, and may load them again.
 * @param {GraphNode} node
 * @param {string} file name of the new preview, to tell it from the last one
 * @param {number} [tries]
 * @param {Map<HTMLVideoElement, string>} [started] what has been started
 */
function play(node, file, tries = TRIES, started = new Map()) {
  for (const video of videosOf(node)) {
    if (!video.src.includes(file) || started.get(video) === video.src) continue
    started.set(video, video.src)
    video.muted = true
    video.loop = true
    // A browser may refuse to play before the first click on the page; the controls are there then.
    video.play().catch(() => {})
  }
  if (tries > 0) setTimeout(() => play(node, file, tries - 1, started), PAUSE)
}

/** @param {GraphNode} node @param {Output} output */
function show(node, { animated, images }) {
  if (animated?.[0] && images?.length) play(node, images[0].filename)
}

showResults('EX4D.Previews', show, (prototype) => {
  const { addDOMWidget } = prototype
  /**
   * @param {string} name
   * @param {string} type
   * @param {HTMLElement} element
   * @param {Record<string, any>} [options]
   */
  prototype.addDOMWidget = function (name, type, element, options) {
    const given = name === PREVIEW ? { ...options, serialize: false } : options
    return addDOMWidget.call(this, name, type, element, given)
  }
})
