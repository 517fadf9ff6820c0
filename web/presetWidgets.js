/**
 * The camera node's own widgets, and when they are shown: the editor's bar takes their place.
 *
 * @import { GraphNode } from './graphNode.js'
 */
import { isLinked } from './inputSources.js'
import { PRESET_WIDGETS } from './pathOrigin.js'

/** Where the node keeps whether the preset's widgets are shown. */
const SHOWN = 'ex4d_widgets'
/** @returns {[number, number]} takes back the 4 pixels between rows */
const NO_ROW = () => [0, -4]

/**
 * Hides the preset's widgets, which the editor's own bar replaces; one that is linked stays.
 * @param {GraphNode} node
 */
export function hidePresetWidgets(node) {
  const shown = showsPresetWidgets(node)
  for (const widget of node.widgets ?? []) {
    if (!PRESET_WIDGETS.includes(widget.name)) continue
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
