/**
 * The lines of numbers that a run has found, below a node's widgets. They stand there as long as the node's picture
 * does: the frontends' own text for nodes goes when the run ends (1.58) or the tab changes (all).
 *
 * @import { GraphNode, Widget } from './graphNode.js'
 * @import { Output } from './results.js'
 */
import { widgetOf } from './graphNode.js'
import { showResults } from './results.js'

const NUMBERS = 'ex4d_numbers'
const FONT = '11px Inter, system-ui, sans-serif'
const [LINE, MARGIN, PADDING] = [15, 6, 4]
/** What the frontends add below a widget of fixed height. */
const ROW_GAP = 4
const STYLE = `
  box-sizing: border-box; overflow: hidden auto; padding: 0 ${PADDING}px; white-space: pre-line;
  overflow-wrap: anywhere;
  font: ${FONT}; line-height: ${LINE}px; color: var(--input-text, #ddd); user-select: text; -webkit-user-select: text;
`
const pen = document.createElement('canvas').getContext('2d')

/** Rows that a text takes at a width. @param {string} text @param {number} width */
function rows(text, width) {
  if (!pen) return 1
  pen.font = FONT
  return text.split('\n').reduce((sum, line) => sum + Math.max(1, Math.ceil(pen.measureText(line).width / width)), 0)
}

/** @param {GraphNode} node */
function addNumbers(node) {
  const element = document.createElement('div')
  element.className = 'ex4d-numbers'
  element.style.cssText = STYLE
  const widget = node.addDOMWidget(NUMBERS, 'EX4D_NUMBERS', element, {
    serialize: false,
    hideOnZoom: true,
    margin: MARGIN,
    getValue: () => element.textContent,
    setValue: (/** @type {string} */ text) => {
      element.textContent = text
    }
  })
  widget.serialize = false
  return widget
}

/** @param {GraphNode} node @param {Output} output */
function show(node, { text }) {
  if (!Array.isArray(text) || !text.length) return
  const widget = widgetOf(node, NUMBERS) ?? addNumbers(node)
  widget.value = text.join('\n')
  node.setDirtyCanvas?.(true, true)
}

showResults('EX4D.Numbers', show, (prototype) => {
  const { addCustomWidget } = prototype
  // As high as its text: a widget that is free to grow would take its share of the picture's room.
  prototype.addCustomWidget = function (/** @type {Widget} */ widget) {
    if (widget.name === NUMBERS) {
      widget.computeLayoutSize = undefined
      widget.computeSize = () => [
        0,
        rows(widget.value, this.size[0] - 2 * (MARGIN + PADDING)) * LINE + 2 * MARGIN - ROW_GAP
      ]
    }
    return addCustomWidget.apply(this, arguments)
  }
})
