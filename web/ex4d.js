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
import { addCameraUpload } from './cameraFiles.js'
import { Editor } from './editor/editor.js'
import { isReference } from './editor/preview.js'
import { DEFAULT_RADIUS, parseDocument, presetDocument, PRESETS } from './editor/trajectory.js'

const NODE = 'EX4DCameraTrajectory'
const PATH = 'path'
const SCENE = 'ex4d_preview'
const RESULT = 'ex4d_path'
const WIDGETS = 'ex4d_widgets'
const FILE = 'file'
const VIEWPOINT = 'viewpoint'
const NO_FILE = 'none'
/** Widgets that the editor's preset bar takes the place of. */
const REPLACED = new Set(['preset', 'angle', 'distance', 'turns', 'rise', 'follow', 'ease', 'frames', 'fps', 'scale'])
const LEAST_HEIGHT = 460
/** Milliseconds between changes of the path widget during a drag. */
const WRITE_EVERY = 200
/** @returns {[number, number]} takes back the 4 pixels between rows */
const NO_ROW = () => [0, -4]
const FRESH = [760, 860]

/** @import { PathDocument } from './editor/pathDocument.js' */

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
 * The path while `path` is empty: what the last run made of a camera file, else the preset of the node's widgets as
 * Python reads them (nodes/trajectory.py).
 * @param {any} node @param {import('./editor/state.js').SceneFacts | null} scene @returns {PathDocument}
 */
function pathOfWidgets(node, scene) {
  const value = (/** @type {string} */ name) => widgetOf(node, name)?.value
  if (takesCamera(node) && node.properties[RESULT]) {
    return parseDocument(node.properties[RESULT])
  }
  const preset = PRESETS.find((p) => p.name === value('preset')) ?? PRESETS[0]
  const given = {
    angle: value('angle'),
    distance: value('distance'),
    turns: value('turns'),
    rise: value('rise'),
    follow: value('follow')
  }
  if (preset.name === 'spiral') Object.assign(given, { size: Math.abs(given.distance), distance: 0 })
  const values = /** @type {Record<string, any>} */ (given)
  /** @type {Record<string, any>} */
  const params = { ease: value('ease') ?? 'linear' }
  for (const { name } of preset.params) if (typeof values[name] === 'number') params[name] = values[name]
  const frames = Number(value('frames')) || (scene && scene.frames > 1 ? scene.frames : 49)
  const radius = (Number(value('scale')) || 1) * (scene?.radius ?? DEFAULT_RADIUS)
  return presetDocument(preset.name, { frames, fps: Number(value('fps')) || 15, radius, params })
}

/** Whether the path comes from a camera that only Python reads: a file, or a 3D viewer's. @param {any} node */
function takesCamera(node) {
  const file = widgetOf(node, FILE)?.value
  return (!!file && file !== NO_FILE) || seesViewpoint(node)
}

/** @param {any} node */
const seesViewpoint = (node) =>
  !!node.inputs?.some((/** @type {any} */ input) => input.name === VIEWPOINT && input.link != null)

/** Hides the preset's widgets, which the editor's own bar replaces; one that is linked stays. @param {any} node */
function hidePresetWidgets(node) {
  const shown = !!node.properties?.[WIDGETS]
  for (const widget of node.widgets) {
    if (!REPLACED.has(widget.name)) continue
    const linked = node.inputs?.some(
      (/** @type {any} */ input) => input.widget?.name === widget.name && input.link != null
    )
    widget.hidden = !shown && !linked
    if (widget.options) widget.options.hidden = widget.hidden
    // Older frontends keep a hidden widget's row, unless it has no size.
    if (widget.hidden) widget.computeSize = NO_ROW
    else if (widget.computeSize === NO_ROW) delete widget.computeSize
  }
}

/** @param {any} node */
function attach(node) {
  const path = widgetOf(node, PATH)
  if (!path || node.ex4dEditor) return
  let writing = false
  /** Text on its way into the widget. @type {string | null} */
  let pending = null
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let waiting
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let noted
  const flush = () => {
    clearTimeout(waiting)
    waiting = undefined
    if (pending === null) return
    writing = true
    path.value = pending
    pending = null
    path.callback?.(path.value, app.canvas, node)
    writing = false
    // The graph's own undo and the "unsaved" mark learn of it when a gesture has ended.
    clearTimeout(noted)
    noted = setTimeout(() => {
      node.setDirtyCanvas?.(true, false)
      app.extensionManager?.workflow?.activeWorkflow?.changeTracker?.checkState?.()
    }, 400)
  }
  const editor = new Editor({
    read: () => pending ?? String(path.value ?? ''),
    // A widget's change makes the frontend draw the graph: during a drag it gets one now and then, and the last at its end.
    write: (text) => {
      pending = text
      if (!editor.state.held) flush()
      else waiting ??= setTimeout(flush, WRITE_EVERY)
    },
    settled: flush,
    fallback: (scene) => pathOfWidgets(node, scene),
    note: () =>
      takesCamera(node) && !node.properties[RESULT]
        ? `The camera ${seesViewpoint(node) ? 'viewer' : 'file'}'s path is shown after the node has run; until then this is the preset.`
        : '',
    url: ({ filename, subfolder, type }) => api.apiURL(`/view?${new URLSearchParams({ filename, subfolder, type })}`),
    recall: (name) => node.properties?.[name],
    remember: (name, value) => {
      node.properties[name] = value
    }
  })
  node.ex4dEditor = editor

  addCameraUpload(node, widgetOf(node, FILE))
  const home = document.createElement('div')
  home.style.cssText = 'width:100%;height:100%;min-height:0'
  editor.page.mount(home)
  const widget = node.addDOMWidget('camera_editor', 'EX4D_CAMERA_EDITOR', home, {
    serialize: false,
    hideOnZoom: false,
    getMinHeight: () => LEAST_HEIGHT,
    getValue: () => '',
    setValue: () => {},
    margin: 6
  })
  widget.serialize = false
  node.hideOutputImages = true
  hidePresetWidgets(node)
  node.setSize([Math.max(node.size[0], FRESH[0]), Math.max(node.size[1], FRESH[1])])

  follow(path, 'callback', () => {
    if (!writing) editor.refresh()
  })
  /** Values that the widgets had last. @type {Map<any, any>} */
  const known = new Map()
  const note = () => node.widgets.forEach((/** @type {any} */ each) => known.set(each, each.value))
  note()
  for (const other of node.widgets) {
    if (other === path || other === widget) continue
    follow(other, 'callback', () => {
      if (writing || app.configuringGraph) return
      // A primitive node calls this on every run; only a change takes the edited path away.
      if (Object.is(known.get(other), other.value)) return
      known.set(other, other.value)
      // What the last run made of another camera file is not this file's path.
      if (other.name === FILE) delete node.properties[RESULT]
      // A preset chosen on the node takes the place of an edited path.
      if (String(path.value ?? '').trim()) editor.state.reset(() => pathOfWidgets(node, editor.state.scene))
      else editor.refresh()
    })
  }
  follow(node, 'onConfigure', () => {
    note()
    hidePresetWidgets(node)
    editor.recallSettings()
    editor.refresh()
    void editor.loader.load(node.properties?.[SCENE])
  })
  follow(node, 'onExecuted', (/** @type {any} */ output) => {
    // The editor shows the path itself; the run's drawing of it is for hosts and clients without one.
    if (output?.images) delete output.images
    const result = output?.[RESULT]?.[0]
    const given = takesCamera(node) && !String(path.value ?? '').trim()
    if (typeof result === 'string' && given) node.properties[RESULT] = result
    else if (!takesCamera(node)) delete node.properties[RESULT]
    const reference = output?.[SCENE]?.[0]
    if (!isReference(reference)) return
    node.properties[SCENE] = { filename: reference.filename, subfolder: reference.subfolder, type: reference.type }
    editor.refresh()
    void editor.loader.load(reference)
  })
  follow(node, 'onConnectionsChange', () => {
    hidePresetWidgets(node)
    if (!app.configuringGraph) editor.refresh()
  })
  follow(node, 'getExtraMenuOptions', (/** @type {any} */ _, /** @type {any[]} */ options) => {
    const shown = !!node.properties[WIDGETS]
    options.push({
      content: `${shown ? 'Hide' : 'Show'} the preset's own widgets`,
      callback: () => {
        node.properties[WIDGETS] = !shown
        hidePresetWidgets(node)
        node.setSize(node.computeSize())
      }
    })
  })
  follow(node, 'onRemoved', () => {
    flush()
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
