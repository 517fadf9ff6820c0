/**
 * What a run of our nodes gave to the frontend, and when there is something to show of it.
 *
 * @import { GraphNode } from './graphNode.js'
 * @typedef {{text?: unknown, animated?: unknown[], images?: {filename: string}[], ex4d_memory?: unknown[]}} Output as the
 *   frontends keep it
 */
import { app } from './comfy.js'

const CATEGORY = 'EX-4D'

/** @param {any} node */
const isOurs = (node) => !!node?.constructor?.nodeData?.category?.startsWith(CATEGORY)

/**
 * The node of an output that the frontends keep: "12:3" is node 3 inside of subgraph node 12, or the subgraph's own id
 * stands in front.
 * @param {string | number} id
 */
function nodeOf(id) {
  const path = String(id).split(':')
  const last = path.pop()
  let graph = app.graph
  for (const part of path) graph = graph?.subgraphs?.get(part) ?? graph?.getNodeById(part)?.subgraph
  return graph?.getNodeById(last)
}

/**
 * Registers an extension that shows something of our nodes' outputs: when a run has made them, and when the frontend
 * has made the nodes anew and kept the outputs, as after an undo, in a tab that was left and in a subgraph that is
 * opened.
 * @param {string} name
 * @param {(node: GraphNode, output: Output) => void} show
 * @param {(prototype: any) => void} [prepare] is given the prototype of each of our nodes
 */
export function showResults(name, show, prepare) {
  const showAll = (/** @type {Record<string, Output>} */ outputs) => {
    for (const [id, output] of Object.entries(outputs ?? {})) {
      const node = nodeOf(id)
      if (output && isOurs(node)) show(node, output)
    }
  }
  app.registerExtension({
    name,
    beforeRegisterNodeDef(/** @type {any} */ nodeType, /** @type {any} */ nodeData) {
      if (!nodeData.category?.startsWith(CATEGORY)) return
      const { onExecuted } = nodeType.prototype
      nodeType.prototype.onExecuted = function (/** @type {any} */ output) {
        const result = onExecuted?.apply(this, arguments)
        if (output) show(this, output)
        return result
      }
      prepare?.(nodeType.prototype)
    },
    setup: () => app.canvas.canvas.addEventListener('litegraph:set-graph', () => showAll(app.nodeOutputs)),
    afterConfigureGraph: () => showAll(app.nodeOutputs),
    onNodeOutputsUpdated: showAll
  })
}
