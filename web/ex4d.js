/**
 * Gives every Camera Trajectory node its editor. ComfyUI loads each .js file under web/; this, `numbers.js` and
 * `previews.js` register something with it, all others only define things.
 *
 * The node's `path` widget holds the path as JSON and is the only truth: it is saved with the workflow and sent with
 * the prompt. The editor is a second, last widget that is neither. The scene that a run publishes is remembered in
 * `node.properties`, since the frontends forget custom results when a page is loaded again.
 *
 * @import { GraphNode, Widget } from './comfy.js'
 * @import { Host } from './editor/editor.js'
 */
import { addCameraUpload } from './cameraFiles.js'
import { api, app, follow, widgetOf } from './comfy.js'
import { Editor } from './editor/editor.js'
import { isReference } from './editor/preview.js'
import { speak, word } from './editor/words.js'
import { PathWidget } from './pathWidget.js'
import {
  FILE,
  RESULT,
  hidePresetWidgets,
  pathOfWidgets,
  seesViewpoint,
  showsPresetWidgets,
  takesCamera,
  togglePresetWidgets
} from './presetWidgets.js'

const NODE = 'EX4DCameraTrajectory'
const PATH = 'path'
/** Where the node keeps the preview file of the last run. */
const SCENE = 'ex4d_preview'
/** Sizes in pixels of the graph. */
const LEAST_HEIGHT = 460
const FRESH = [760, 860]

/** A camera node and its editor: what either has to know of the other. */
class NodeBridge {
  /** @param {GraphNode} node @param {Widget} widget of the path */
  constructor(node, widget) {
    this.node = node
    this.path = new PathWidget(node, widget)
    this.editor = new Editor(this.host())
    node.ex4dEditor = this.editor
    const files = widgetOf(node, FILE)
    if (files) addCameraUpload(node, files)
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
    const { node, path } = this
    return {
      read: () => path.text,
      write: (text) => path.write(text, this.editor.state.held),
      settled: () => path.flush(),
      fallback: (scene) => pathOfWidgets(node, scene),
      note: () => this.cameraNote(),
      url: ({ filename, subfolder, type }) => api.apiURL(`/view?${new URLSearchParams({ filename, subfolder, type })}`),
      recall: (name) => node.properties?.[name],
      remember: (name, value) => {
        node.properties[name] = value
      }
    }
  }

  /** What there is to say of a camera that only Python reads. */
  cameraNote() {
    if (!takesCamera(this.node) || this.node.properties[RESULT]) return ''
    const source = seesViewpoint(this.node) ? 'viewer' : 'file'
    return `The camera ${source}'s path is shown after the node has run; until then this is the preset.`
  }

  /** The editor as a widget, behind all others and in no saved value. */
  addHome() {
    const { node } = this
    const element = document.createElement('div')
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

  rememberValues() {
    for (const widget of this.node.widgets ?? []) this.lastValues.set(widget, widget.value)
  }

  followWidgets() {
    follow(this.path.widget, 'callback', () => {
      if (!this.path.writing) this.editor.refresh()
    })
    for (const widget of this.node.widgets ?? []) {
      if (widget !== this.path.widget && widget !== this.home)
        follow(widget, 'callback', () => this.widgetChanged(widget))
    }
  }

  /** A preset chosen on the node takes the place of an edited path. @param {Widget} widget */
  widgetChanged(widget) {
    const { node, path, editor, lastValues } = this
    if (path.writing || app.configuringGraph) return
    // A primitive node calls this on every run; only a change takes the edited path away.
    if (Object.is(lastValues.get(widget), widget.value)) return
    lastValues.set(widget, widget.value)
    // What the last run made of another camera file is not this file's path.
    if (widget.name === FILE) delete node.properties[RESULT]
    if (path.stored.trim()) editor.state.reset(() => pathOfWidgets(node, editor.state.scene))
    else editor.refresh()
  }

  followNode() {
    const { node, editor } = this
    follow(node, 'onConfigure', () => {
      this.rememberValues()
      hidePresetWidgets(node)
      editor.recallSettings()
      editor.refresh()
      void editor.loader.load(node.properties?.[SCENE])
    })
    follow(node, 'onExecuted', (output) => this.executed(output))
    follow(node, 'onConnectionsChange', () => {
      hidePresetWidgets(node)
      if (!app.configuringGraph) editor.refresh()
    })
    follow(node, 'getExtraMenuOptions', (_, /** @type {object[]} */ options) => {
      options.push({
        content: word(`${showsPresetWidgets(node) ? 'Hide' : 'Show'} the preset's own widgets`),
        callback: () => togglePresetWidgets(node)
      })
    })
    follow(node, 'onRemoved', () => {
      this.path.dispose()
      editor.dispose()
      node.ex4dEditor = undefined
    })
  }

  /** Takes what a run has made. @param {Record<string, any> | undefined} output */
  executed(output) {
    const { node, editor } = this
    if (output?.images) delete output.images
    const result = output?.[RESULT]?.[0]
    const takes = takesCamera(node)
    if (typeof result === 'string' && takes && !this.path.stored.trim()) node.properties[RESULT] = result
    else if (!takes) delete node.properties[RESULT]
    const reference = output?.[SCENE]?.[0]
    if (!isReference(reference)) return
    const { filename, subfolder, type } = reference
    node.properties[SCENE] = { filename, subfolder, type }
    editor.refresh()
    void editor.loader.load(reference)
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

app.registerExtension({
  name: 'EX4D.CameraPath',
  init: () => speak(app.ui.settings.getSettingValue('Comfy.Locale')),
  nodeCreated(/** @type {any} */ node) {
    if ((node.constructor?.comfyClass ?? node.comfyClass) !== NODE || node.ex4dEditor) return
    const widget = widgetOf(node, PATH)
    if (widget) new NodeBridge(node, widget)
  }
})
