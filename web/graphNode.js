/**
 * Nodes, widgets and links as far as the pack uses them. No side effects.
 *
 * @typedef {object} Widget
 * @property {string} name
 * @property {string} [label]
 * @property {any} value whatever kind the widget holds
 * @property {(value: any, canvas?: unknown, node?: GraphNode) => void} [callback]
 * @property {{hidden?: boolean, values?: string[]}} [options]
 * @property {boolean} [hidden]
 * @property {boolean} [serialize]
 * @property {() => [number, number]} [computeSize]
 * @property {unknown} [computeLayoutSize]
 *
 * @typedef {object} Input
 * @property {string} name
 * @property {number | null} [link]
 * @property {{name: string}} [widget] which the socket stands for
 *
 * @typedef {object} Link
 * @property {number | string} origin_id
 * @property {number} origin_slot
 *
 * @typedef {object} Graph
 * @property {GraphNode[]} [nodes]
 * @property {Graph} [rootGraph] of the workflow, where this is a subgraph's
 * @property {Map<number, Link> | Record<number, Link>} [links]
 * @property {(id: number) => Link | undefined} [getLink]
 *
 * @typedef {object} GraphNode
 * @property {number | string} id
 * @property {Graph | null} [graph] that it lies in
 * @property {Graph} [subgraph] that it shows
 * @property {Widget[]} [widgets]
 * @property {Input[]} [inputs]
 * @property {Record<string, any>} properties saved with the node
 * @property {[number, number]} size
 * @property {string} [comfyClass]
 * @property {boolean} [hideOutputImages]
 * @property {HTMLElement} [videoContainer] of previews outside of Vue nodes
 * @property {object} [ex4dEditor] of a camera node, for tests and for other extensions
 * @property {(size: [number, number]) => void} setSize
 * @property {() => [number, number]} computeSize
 * @property {(slot: number) => unknown} disconnectInput
 * @property {(event: DragEvent) => boolean} [onDragOver] whether something may be dropped
 * @property {(event: DragEvent) => boolean | Promise<boolean>} [onDragDrop] whether it was taken
 * @property {(foreground?: boolean, background?: boolean) => void} [setDirtyCanvas]
 * @property {(type: string, name: string, value: unknown, act: () => void, options?: object) => Widget} addWidget
 * @property {(name: string, type: string, element: HTMLElement, options: Record<string, unknown>) => Widget}
 *   addDOMWidget
 */

/** @param {GraphNode} node @param {string} name @returns {Widget | undefined} */
export const widgetOf = (node, name) => node.widgets?.find((widget) => widget.name === name)

/**
 * Calls `after` behind a method of an object that may not be there yet.
 * @param {object} object
 * @param {string} name
 * @param {(...values: any[]) => void} after
 */
export function follow(object, name, after) {
  const methods = /** @type {Record<string, ((...values: unknown[]) => unknown) | undefined>} */ (object)
  const before = methods[name]
  methods[name] = function (...values) {
    const result = before?.apply(this, values)
    after.apply(this, values)
    return result
  }
}
