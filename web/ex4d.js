/**
 * Gives every Camera Trajectory node its editor. ComfyUI loads each .js file under web/; this, `numbers.js` and
 * `previews.js` register something with it, all others only define things.
 *
 * The node's `path` widget holds the path as JSON and is the only truth: it is saved with the workflow and sent with
 * the prompt. The editor is a second, last widget that is neither. The scene that a run publishes is remembered in
 * `node.properties`, since the frontends forget custom results when a page is loaded again.
 *
 * @import { GraphNode, Widget } from './graphNode.js'
 * @import { Host } from './editor/editor.js'
 * @import { FileReference } from './editor/preview.js'
 */
import { addCameraFiles } from './cameraFiles.js'
import { api, app } from './comfy.js'
import { Editor } from './editor/editor.js'
import { isReference } from './editor/preview.js'
import { belongsTo, sceneOf } from './editor/sceneMemory.js'
import { compactText } from './editor/trajectory.js'
import { speak, word } from './editor/words.js'
import { follow, widgetOf } from './graphNode.js'
import { PATH, PathOrigin } from './pathOrigin.js'
import { PathWidget } from './pathWidget.js'
import { hidePresetWidgets, showsPresetWidgets, togglePresetWidgets } from './presetWidgets.js'
import { showResults } from './results.js'

const NODE = 'EX4DCameraTrajectory'
const RENDER = 'EX4DRenderColorMask'
/** Where the node keeps the preview file of the last run. */
const SCENE = 'ex4d_preview'
/** Where it keeps what fills the scene's holes, and what a render node's output calls that. */
const MEMORY = 'ex4d_memory'
/** Where a render node keeps which memory its last run has written. */
const GIVEN = 'ex4d_given_memory'
/** The path that a run has made, in its output. */
const MADE = 'ex4d_path'
/**
 * So often (milliseconds) values and links are looked at while the editor is seen: the frontends tell nodes neither of
 * a change on a subgraph's face nor of many others.
 */
const LOOK_EVERY = 300
/** Class of the element in which the editor lies. */
const FRAME = 'ex4d-frame'
/** Until then (milliseconds) a frontend has drawn a graph; the last for busy machines. */
const SETTLED_AFTER = [50, 400, 2000]
/** Sizes in pixels of the graph. */
const LEAST_HEIGHT = 460
const FRESH = [760, 860]

/** A camera node and its editor: what either has to know of the other. */
class NodeBridge {
  /** @param {GraphNode} node @param {Widget} widget of the path */
  constructor(node, widget) {
    this.node = node
    /** The node's own widget of the path. */
    this.pathWidget = widget
    this.origin = new PathOrigin(node)
    this.path = new PathWidget(node, () => this.origin.pathWidget)
    this.editor = new Editor(this.host())
    node.ex4dEditor = this.editor
    addCameraFiles(node, {
      element: this.editor.element,
      lists: () => this.origin.fileLists,
      refusal: () => this.origin.fileLock,
      chosen: () => this.takeWidgets()
    })
    /** While the editor is seen. @type {ReturnType<typeof setInterval> | undefined} */
    this.looking = undefined
    /** What holds the editor in the node. @type {HTMLElement} */
    this.frame = document.createElement('div')
    /** The editor's place in the node. */
    this.home = this.addHome()
    /** Values that the widgets had last. @type {Map<Widget, unknown>} */
    this.lastValues = new Map()
    this.rememberValues()
    this.followWidgets()
    this.followNode()
  }

  /** The node as the editor sees it. @returns {Host} */
  host() {
    const { node, path, origin } = this
    return {
      read: () => path.text,
      write: (text) => path.write(text, this.editor.state.held),
      settled: () => path.flush(),
      fallback: (scene) => origin.document(scene),
      note: () => origin.note,
      lock: () => origin.lock,
      unlock: () => this.takePath(),
      seen: (visible) => this.seen(visible),
      url: ({ filename, subfolder, type }) => api.apiURL(`/view?${new URLSearchParams({ filename, subfolder, type })}`),
      recall: (name) => node.properties?.[name],
      remember: (name, value) => {
        node.properties[name] = value
      }
    }
  }

  /** Cuts the link that decides the path, and goes on with the path that is shown. */
  takePath() {
    const { node, origin, editor } = this
    const shown = origin.result && compactText(editor.state.document)
    node.disconnectInput(node.inputs?.findIndex((input) => input.name === PATH) ?? -1)
    origin.survey()
    if (shown) this.path.write(shown, false)
    editor.refresh()
    editor.redraw()
  }

  /** Looks at values and links from now on, or no more. @param {boolean} visible */
  seen(visible) {
    clearInterval(this.looking)
    this.looking = undefined
    if (!visible || this.editor.disposed) return
    this.look()
    this.looking = setInterval(() => this.look(), LOOK_EVERY)
  }

  /** Follows what has changed of values and links. */
  look() {
    if (document.hidden || app.configuringGraph || !this.origin.survey()) return
    hidePresetWidgets(this.node)
    this.editor.refresh()
    this.editor.redraw()
  }

  /** The editor as a widget, behind all others and in no saved value. */
  addHome() {
    const { node } = this
    const element = this.frame
    element.className = FRAME
    element.style.cssText = 'width:100%;height:100%;min-height:0'
    this.editor.page.mount(element)
    const home = node.addDOMWidget('camera_editor', 'EX4D_CAMERA_EDITOR', element, {
      serialize: false,
      hideOnZoom: false,
      getMinHeight: () => LEAST_HEIGHT,
      getValue: () => '',
      setValue: () => {},
      margin: 6
    })
    home.serialize = false
    hidePictures(node)
    hidePresetWidgets(node)
    node.setSize([Math.max(node.size[0], FRESH[0]), Math.max(node.size[1], FRESH[1])])
    return home
  }

  /**
   * Vue nodes of frontend 1.58 keep the element of another node of the same number: of the one before an undo, or in
   * the graph around a subgraph. Edits in that editor would go to a node that is not here; this one's takes its place.
   */
  takeOver() {
    if (this.editor.disposed || this.frame.isConnected) return
    document.querySelector(`[data-node-id="${this.node.id}"] .${FRAME}`)?.replaceWith(this.frame)
  }

  rememberValues() {
    for (const widget of this.node.widgets ?? []) this.lastValues.set(widget, widget.value)
  }

  followWidgets() {
    follow(this.pathWidget, 'callback', () => {
      if (this.path.writing) return
      this.origin.survey()
      this.editor.refresh()
    })
    for (const widget of this.node.widgets ?? []) {
      if (widget !== this.pathWidget && widget !== this.home)
        follow(widget, 'callback', () => this.widgetChanged(widget))
    }
  }

  /** A preset chosen on the node takes the place of an edited path. @param {Widget} widget */
  widgetChanged(widget) {
    const { path, lastValues } = this
    if (path.writing || app.configuringGraph) return
    // A primitive node calls this on every run; only a change takes the edited path away.
    if (Object.is(lastValues.get(widget), widget.value)) return
    lastValues.set(widget, widget.value)
    this.takeWidgets()
  }

  /** Drops an edited path for what the widgets ask for; the editor's undo brings it back. */
  takeWidgets() {
    const { path, origin, editor } = this
    origin.survey()
    if (path.stored.trim()) editor.state.reset(() => origin.document(editor.state.scene))
    else editor.refresh()
  }

  followNode() {
    const { node, editor } = this
    follow(node, 'onConfigure', () => {
      this.rememberValues()
      this.origin.survey()
      hidePresetWidgets(node)
      editor.recallSettings()
      editor.refresh()
      void editor.loader.load(node.properties?.[SCENE])
      void editor.loader.remember(node.properties?.[MEMORY])
    })
    follow(node, 'onExecuted', (output) => this.executed(output))
    follow(node, 'onConnectionsChange', () => {
      hidePresetWidgets(node)
      this.origin.survey()
      if (!app.configuringGraph) editor.refresh()
    })
    follow(node, 'getExtraMenuOptions', (_, /** @type {object[]} */ options) => {
      options.push({
        content: word(`${showsPresetWidgets(node) ? 'Hide' : 'Show'} the preset's own widgets`),
        callback: () => togglePresetWidgets(node)
      })
    })
    follow(node, 'onRemoved', () => {
      clearInterval(this.looking)
      this.path.dispose()
      editor.dispose()
      node.ex4dEditor = undefined
      living.delete(this)
    })
  }

  /**
   * Takes what the frontend has kept of the last run, where the node has forgotten it: after an undo it is made anew, as
   * it was before the run.
   * @param {Record<string, any>} output
   */
  recover(output) {
    const { node, origin, editor } = this
    if (origin.lacksResult) {
      origin.recover(output[MADE]?.[0])
      editor.refresh()
      editor.redraw()
    }
    if (!node.properties[SCENE]) this.showScene(output[SCENE]?.[0])
  }

  /** Takes what a run has made. @param {Record<string, any> | undefined} output */
  executed(output) {
    const { origin, editor } = this
    if (!output) return
    delete output.images
    origin.survey()
    origin.keep(output[MADE]?.[0])
    editor.refresh()
    editor.redraw()
    this.showScene(output[SCENE]?.[0])
  }

  /** @param {unknown} reference of the scene that a run has written */
  showScene(reference) {
    if (!isReference(reference)) return
    const { filename, subfolder, type } = reference
    this.node.properties[SCENE] = { filename, subfolder, type }
    void this.editor.loader.load(reference)
    this.takeMemory(this.editor.loader.offered.get(sceneOf(filename))) // word of it may come first
  }

  /** @param {unknown} reference of a memory that a render node has written; of whose scene, its name tells */
  takeMemory(reference) {
    if (!isReference(reference)) return
    const { filename, subfolder, type } = reference
    const scene = this.node.properties[SCENE]
    if (isReference(scene) && belongsTo(filename, scene.filename))
      this.node.properties[MEMORY] = { filename, subfolder, type }
    void this.editor.loader.remember(reference)
  }

  /** @param {FileReference} reference of a memory that its render node makes no more */
  dropMemory(reference) {
    const kept = this.node.properties[MEMORY]
    if (isReference(kept) && kept.filename === reference.filename) delete this.node.properties[MEMORY]
    this.editor.loader.forgetMemory(reference)
  }
}

/**
 * The editor shows the path itself; the run's drawing of it is for hosts and clients without one.
 * @param {GraphNode} node
 */
function hidePictures(node) {
  node.hideOutputImages = true // Vue nodes ask this alone
  // Elsewhere pictures get a widget, and a share of the editor's room, once the node has any.
  Object.defineProperty(node, 'imgs', { get: () => undefined, set: () => {}, configurable: true })
}

/** @param {any} node */
const classOf = (node) => node.constructor?.comfyClass ?? node.comfyClass

/** @type {WeakMap<GraphNode, NodeBridge>} */
const bridges = new WeakMap()
/** Those whose nodes are in a graph. @type {Set<NodeBridge>} */
const living = new Set()

/** Once the frontend has drawn a graph that it has loaded or opened, each camera node shows its own editor. */
function settle() {
  const takeOver = () => {
    for (const node of app.canvas.graph?.nodes ?? []) bridges.get(node)?.takeOver()
  }
  for (const wait of SETTLED_AFTER) setTimeout(takeOver, wait)
}

app.registerExtension({
  name: 'EX4D.CameraPath',
  init: () => speak(app.ui.settings.getSettingValue('Comfy.Locale')),
  setup: () => app.canvas.canvas.addEventListener('litegraph:set-graph', settle),
  afterConfigureGraph: settle,
  nodeCreated(/** @type {any} */ node) {
    if (classOf(node) !== NODE || node.ex4dEditor) return
    const widget = widgetOf(node, PATH)
    if (!widget) return
    const bridge = new NodeBridge(node, widget)
    bridges.set(node, bridge)
    living.add(bridge)
  }
})

showResults('EX4D.CameraResults', (node, output) => {
  bridges.get(node)?.recover(output)
  if (classOf(node) === RENDER) takeFrom(node, output[MEMORY]?.[0])
})

/** Gives a render node's memory to the editors, or takes back what an earlier run gave. @param {GraphNode} node @param {unknown} reference */
function takeFrom(node, reference) {
  const before = node.properties[GIVEN]
  if (isReference(reference)) {
    const { filename, subfolder, type } = reference
    node.properties[GIVEN] = { filename, subfolder, type }
    for (const bridge of living) bridge.takeMemory(reference)
  } else if (isReference(before)) {
    delete node.properties[GIVEN]
    for (const bridge of living) bridge.dropMemory(before)
  }
}
