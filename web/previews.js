// The nodes' video previews play by themselves, silently and in a loop, as soon as a run has made them, and are no
// inputs: the frontends would send them with the next prompt, and what has not changed would be computed again.

// @ts-ignore: served by ComfyUI
import { app } from "../../scripts/app.js";

const PREVIEW = "video-preview";
const PATIENCE = 20;
const PAUSE = 150;

/**
 * The video elements that show a node's output, in either renderer.
 * @param {any} node
 * @returns {HTMLVideoElement[]}
 */
function videosOf(node) {
  const classic = node.videoContainer?.querySelectorAll?.("video") ?? [];
  const vue = document.querySelectorAll(`[data-node-id="${node.id}"] video`);
  return [...classic, ...vue];
}

/**
 * Start a node's previews; the frontend adds them some time after the run's message.
 * @param {any} node
 * @param {string} file name of the new preview, to tell it from the last one
 * @param {number} [tries]
 */
function play(node, file, tries = PATIENCE) {
  const videos = videosOf(node).filter((video) => (video.currentSrc || video.src).includes(file));
  for (const video of videos) {
    video.muted = true;
    video.loop = true;
    // A browser may refuse to play before the first click on the page; the controls are there then.
    video.play().catch(() => {});
  }
  if (!videos.length && tries > 0) setTimeout(() => play(node, file, tries - 1), PAUSE);
}

app.registerExtension({
  name: "EX4D.Previews",
  /**
   * @param {any} nodeType
   * @param {any} nodeData
   */
  beforeRegisterNodeDef(nodeType, nodeData) {
    if (!nodeData.category?.startsWith("EX-4D")) return;
    const { onExecuted: before, addDOMWidget } = nodeType.prototype;
    /**
     * @param {string} name
     * @param {string} type
     * @param {HTMLElement} element
     * @param {Record<string, any>} [options]
     */
    nodeType.prototype.addDOMWidget = function (name, type, element, options) {
      const given = name === PREVIEW ? { ...options, serialize: false } : options;
      return addDOMWidget.call(this, name, type, element, given);
    };
    /** @param {any} output */
    nodeType.prototype.onExecuted = function (output) {
      const result = before?.apply(this, arguments);
      if (output?.animated?.[0] && output.images?.length) play(this, output.images[0].filename);
      return result;
    };
  },
});
