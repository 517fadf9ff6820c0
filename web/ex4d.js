// @ts-check
/**
 * The pack's one entry in the browser: gives every Camera Trajectory node its editor. ComfyUI loads each .js file under
 * web/; all others only define things.
 *
 * The node's `path` widget holds the path as JSON and is the only truth: it is saved with the workflow and sent with the
 * prompt. The editor is a second, last widget that is neither. The scene that a run publishes is remembered in
 * `node.properties`, since the frontends forget custom results when a page is loaded again.
 */
// @ts-ignore served by ComfyUI
import { app } from '../../scripts/app.js'
// @ts-ignore served by ComfyUI
import { api } from '../../scripts/api.js'
import { Editor } from './editor/editor.js'
import { isReference } from './editor/preview.js'
import { presetDocument, PRESETS } from './editor/trajectory.js'

const NODE = 'EX4DCameraTrajectory'
const PATH = 'path'
const SCENE = 'ex4d_preview'
const MINIMUM = [420, 460]
const FRESH = [760, 860]

/** @typedef {import('./editor/edits.js').PathDocument} PathDocument */

/** Calls `after` behind a method of an object that may not be there yet. @param {any} object @param {string} name @param {(...values: any[]) => void} after */
function follow(object, name, after) {
  const before = object[name]
  object[name] = function (/** @type {any[]} */ ...values) {
    const result = before?.apply(this, values)
    after.apply(this, values)
    return result
  }
}

/** @param {any} node @param {string} name */
const widgetOf = (node, name) => node.widgets?.find((/** @type {any} */ widget) => widget.name === name)

/**
 * The path that the node's preset widgets ask for, as Python would make it.
 * @param {any} node @param {import('./editor/state.js').SceneFacts | null} scene @returns {PathDocument}
 */
function presetOf(node, scene) {
  const value = (/** @type {string} */ name) => widgetOf(node, name)?.value
  const preset = PRESETS.find((p) => p.name === value('preset')) ?? PRESETS[0]
  /** @type {Record<string, any>} */
  const params = {}
  for (const { name } of preset.params) {
    const given = value(name)
    if (typeof given === 'number') params[name] = given
  }
  const frames = Number(value('frames'))
  const options = { frames: frames >= 1 ? Math.round(frames) : scene?.frames ?? 49, fps: Number(value('fps')) || 15, radius: scene?.radius, pivot: scene?.pivot, params }
  return /** @type {any} */ (presetDocument(preset.name, options))
}

/** @param {any} node */
function attach(node) {
  const path = widgetOf(node, PATH)
  if (!path || node.ex4dEditor) return
  let writing = false
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let noted
  const editor = new Editor({
    read: () => String(path.value ?? ''),
    write: (text) => {
      writing = true
      path.value = text
      path.callback?.(text, app.canvas, node)
      writing = false
      node.setDirtyCanvas?.(true, false)
      // The graph's own undo and the "unsaved" mark learn of it when a gesture has ended.
      clearTimeout(noted)
      noted = setTimeout(() => app.extensionManager?.workflow?.activeWorkflow?.changeTracker?.checkState?.(), 400)
    },
    fallback: (scene) => presetOf(node, scene),
    url: ({ filename, subfolder, type }) => api.apiURL(`/view?${new URLSearchParams({ filename, subfolder, type })}`),
    recall: (name) => node.properties?.[name],
    remember: (name, value) => {
      node.properties[name] = value
    }
  })
  node.ex4dEditor = editor

  const home = document.createElement('div')
  home.style.cssText = 'width:100%;height:100%;min-height:0'
  editor.mount(home)
  const widget = node.addDOMWidget('camera_editor', 'EX4D_CAMERA_EDITOR', home, {
    serialize: false, hideOnZoom: false, getMinHeight: () => MINIMUM[1], getValue: () => '', setValue: () => {}, margin: 6
  })
  widget.serialize = false
  node.setSize([Math.max(node.size[0], FRESH[0]), Math.max(node.size[1], FRESH[1])])

  follow(path, 'callback', () => {
    if (!writing) editor.refresh()
  })
  for (const other of node.widgets) {
    if (other === path || other === widget) continue
    follow(other, 'callback', () => {
      if (writing || app.configuringGraph) return
      // A preset chosen on the node takes the place of an edited path.
      if (String(path.value ?? '').trim()) editor.state.reset(() => presetOf(node, editor.state.scene))
      else editor.refresh()
    })
  }
  follow(node, 'onConfigure', () => {
    editor.recallSettings()
    editor.refresh()
    void editor.load(node.properties?.[SCENE])
  })
  follow(node, 'onExecuted', (/** @type {any} */ output) => {
    const reference = output?.[SCENE]?.[0]
    if (!isReference(reference)) return
    node.properties[SCENE] = { filename: reference.filename, subfolder: reference.subfolder, type: reference.type }
    editor.refresh()
    void editor.load(reference)
  })
  follow(node, 'onRemoved', () => {
    clearTimeout(noted)
    editor.dispose()
    node.ex4dEditor = undefined
  })
}

app.registerExtension({
  name: 'EX4D.CameraPath',
  nodeCreated(/** @type {any} */ node) {
    if ((node.constructor?.comfyClass ?? node.comfyClass) === NODE) attach(node)
  }
})
