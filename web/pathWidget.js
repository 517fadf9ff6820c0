/**
 * The `path` widget: the path as JSON and the only truth, saved with the workflow and sent with the prompt. It is the
 * node's own, or the one on the face of the subgraph that the node lies in.
 *
 * @import { GraphNode, Widget } from './graphNode.js'
 */
import { app } from './comfy.js'

/** Milliseconds between changes of the widget during a drag. */
const WRITE_EVERY = 200
/** So long after the last change (milliseconds) the graph's undo is told of it. */
const TELL_AFTER = 400

export class PathWidget {
  /** @param {GraphNode} node @param {() => Widget | null} target the widget that is sent; null where a link is */
  constructor(node, target) {
    this.node = node
    this.target = target
    /** Text on its way into the widget. @type {string | null} */
    this.pending = null
    /** Whether a change of the widget is the editor's own. */
    this.writing = false
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.flushTimer = undefined
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.tellTimer = undefined
  }

  /** The text, newest first. */
  get text() {
    return this.pending ?? this.stored
  }

  /** The text that the graph knows. */
  get stored() {
    return String(this.target()?.value ?? '')
  }

  /**
   * A widget's change makes the frontend draw the graph: during a drag it gets one now and then, and the last at its
   * end.
   * @param {string} text
   * @param {boolean} soon a drag goes on and more will come
   */
  write(text, soon) {
    this.pending = text
    if (soon) this.flushTimer ??= setTimeout(() => this.flush(), WRITE_EVERY)
    else this.flush()
  }

  /** Puts what is on its way into the widget. */
  flush() {
    clearTimeout(this.flushTimer)
    this.flushTimer = undefined
    if (this.pending === null) return
    const { node } = this
    const text = this.pending
    this.pending = null
    const widget = this.target()
    if (!widget) return
    this.writing = true
    widget.value = text
    widget.callback?.(widget.value, app.canvas, node)
    this.writing = false
    clearTimeout(this.tellTimer)
    this.tellTimer = setTimeout(() => this.tell(), TELL_AFTER)
  }

  /** The graph's own undo and its "unsaved" mark learn of a change. */
  tell() {
    this.node.setDirtyCanvas?.(true, false)
    app.extensionManager?.workflow?.activeWorkflow?.changeTracker?.checkState?.()
  }

  dispose() {
    this.flush()
    clearTimeout(this.tellTimer)
  }
}
