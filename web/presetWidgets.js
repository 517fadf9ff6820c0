/**
 * The camera node's own widgets: the path that they ask for, and when they are shown.
 *
 * @import { GraphNode } from './comfy.js'
 * @import { PathDocument } from './editor/pathDocument.js'
 * @import { SceneFacts } from './editor/state.js'
 */
import { widgetOf } from './comfy.js'
import { DEFAULT_RADIUS, parseDocument, presetDocument, PRESETS } from './editor/trajectory.js'

/** The camera file's widget. */
export const FILE = 'file'
/** Where the node keeps what the last run made of a camera that only Python reads. */
export const RESULT = 'ex4d_path'
/** Where the node keeps whether the preset's widgets are shown. */
const SHOWN = 'ex4d_widgets'
const VIEWPOINT = 'viewpoint'
const NO_FILE = 'none'
/** Widgets that the editor's preset bar takes the place of. */
const REPLACED = new Set(['preset', 'angle', 'distance', 'turns', 'rise', 'follow', 'ease', 'frames', 'fps', 'scale'])
/** @returns {[number, number]} takes back the 4 pixels between rows */
const NO_ROW = () => [0, -4]

/**
 * The path while `path` is empty: what the last run made of a camera file, else the preset of the node's widgets as
 * Python reads them (nodes/trajectory.py).
 * @param {GraphNode} node
 * @param {SceneFacts | null} scene
 * @returns {PathDocument}
 */
export function pathOfWidgets(node, scene) {
  const value = (/** @type {string} */ name) => widgetOf(node, name)?.value
  if (takesCamera(node) && node.properties[RESULT]) return parseDocument(node.properties[RESULT])
  const preset = PRESETS.find(({ name }) => name === value('preset')) ?? PRESETS[0]
  /** @type {Record<string, unknown>} */
  const given = Object.fromEntries(['angle', 'distance', 'turns', 'rise', 'follow'].map((name) => [name, value(name)]))
  if (preset.name === 'spiral') Object.assign(given, { size: Math.abs(value('distance')), distance: 0 })
  /** @type {Record<string, unknown>} */
  const params = { ease: value('ease') ?? 'linear' }
  for (const { name } of preset.params) if (typeof given[name] === 'number') params[name] = given[name]
  const frames = Number(value('frames')) || (scene && scene.frames > 1 ? scene.frames : 49)
  const radius = (Number(value('scale')) || 1) * (scene?.radius ?? DEFAULT_RADIUS)
  return presetDocument(preset.name, { frames, fps: Number(value('fps')) || 15, radius, params })
}

/** Whether the path comes from a camera that only Python reads: a file, or a 3D viewer's. @param {GraphNode} node */
export function takesCamera(node) {
  const file = widgetOf(node, FILE)?.value
  return (!!file && file !== NO_FILE) || seesViewpoint(node)
}

/** Whether a 3D viewer's camera is connected. @param {GraphNode} node */
export const seesViewpoint = (node) => !!node.inputs?.some((input) => input.name === VIEWPOINT && isLinked(input))

/** @param {{link?: number | null}} input */
const isLinked = ({ link }) => link !== null && link !== undefined

/**
 * Hides the preset's widgets, which the editor's own bar replaces; one that is linked stays.
 * @param {GraphNode} node
 */
export function hidePresetWidgets(node) {
  const shown = showsPresetWidgets(node)
  for (const widget of node.widgets ?? []) {
    if (!REPLACED.has(widget.name)) continue
    const linked = node.inputs?.some((input) => input.widget?.name === widget.name && isLinked(input))
    widget.hidden = !shown && !linked
    if (widget.options) widget.options.hidden = widget.hidden
    // Older frontends keep a hidden widget's row, unless it has no size.
    if (widget.hidden) widget.computeSize = NO_ROW
    else if (widget.computeSize === NO_ROW) delete widget.computeSize
  }
}

/** @param {GraphNode} node */
export const showsPresetWidgets = (node) => !!node.properties?.[SHOWN]

/** Shows the preset's widgets, or hides them again. @param {GraphNode} node */
export function togglePresetWidgets(node) {
  node.properties[SHOWN] = !showsPresetWidgets(node)
  hidePresetWidgets(node)
  node.setSize(node.computeSize())
}
