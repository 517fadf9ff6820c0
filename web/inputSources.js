/**
 * Where the values of a node's inputs come from: its own widgets, the face of the subgraph that the node lies in, or a
 * link, whose value only a run knows.
 *
 * @import { GraphNode, Input, Link, Graph, Widget } from './graphNode.js'
 *
 * @typedef {{widget: Widget, host: GraphNode | null}} Known the widget that is sent; `host` is the subgraph node whose
 *   face it lies on, null for the node's own
 * @typedef {{hosts: number}} Unknown a link; `hosts` counts the subgraph nodes that share it, 0 for one from a node
 * @typedef {Known | Unknown} Source
 */
import { widgetOf } from './graphNode.js'

/** The id that the frontends give to the inner end of a subgraph's inputs; some write it as text. */
const SUBGRAPH_INPUTS = -10
/** Subgraphs are nested no deeper than this. */
const DEEPEST = 100

/** @param {Input} input */
export const isLinked = ({ link }) => link !== null && link !== undefined

/**
 * @param {GraphNode} node
 * @param {string} name of an input, with a widget or without
 * @returns {Source | null} null where nothing is sent
 */
export function sourceOf(node, name) {
  const input = node.inputs?.find((each) => (each.widget?.name ?? each.name) === name)
  const arrives = input ? linked(node, input, DEEPEST) : null
  if (arrives) return arrives
  const widget = widgetOf(node, name)
  return widget ? { widget, host: null } : null
}

/** What comes over an input's link; null where nothing does. @param {GraphNode} node @param {Input} input @param {number} depth @returns {Source | null} */
function linked(node, input, depth) {
  if (!isLinked(input)) return null
  const { graph } = node
  const link = graph && linkOf(graph, /** @type {number} */ (input.link))
  if (!link) return null
  if (Number(link.origin_id) !== SUBGRAPH_INPUTS || !depth) return { hosts: 0 }
  const hosts = hostsOf(graph)
  if (hosts.length !== 1) return { hosts: hosts.length }
  const [host] = hosts
  const outer = host.inputs?.[link.origin_slot]
  if (!outer || isLinked(outer)) return outer ? linked(host, outer, depth - 1) : null
  const widget = widgetOf(host, outer.widget?.name ?? outer.name)
  return widget ? { widget, host } : null
}

/** @param {Graph} graph @param {number} id @returns {Link | undefined} */
function linkOf(graph, id) {
  const { links } = graph
  return graph.getLink?.(id) ?? (links instanceof Map ? links.get(id) : links?.[id])
}

/** The subgraph nodes that show a graph, anywhere in the workflow. @param {Graph} graph @returns {GraphNode[]} */
function hostsOf(graph) {
  /** @type {GraphNode[]} */
  const found = []
  /** @type {Set<Graph>} */
  const seen = new Set()
  const look = (/** @type {Graph} */ inside) => {
    if (seen.has(inside)) return
    seen.add(inside)
    for (const node of inside.nodes ?? []) {
      if (!node.subgraph) continue
      if (node.subgraph === graph) found.push(node)
      look(node.subgraph)
    }
  }
  look(graph.rootGraph ?? graph)
  return found
}
