/**
 * Camera files for the camera node: a button that uploads one into ComfyUI's input folder and chooses it, and the same
 * for a file that is dropped on the node or on its editor. The hosts' own upload widgets take pictures, videos and
 * sound only, and take a dropped .json for a graph that replaces this one.
 *
 * @import { GraphNode, Widget } from './graphNode.js'
 *
 * @typedef {object} CameraFileOptions
 * @property {HTMLElement} element of the editor
 * @property {() => Widget[]} lists the combos that offer files; the first is the one that is sent
 * @property {() => string[]} refusal why a chosen file would not count, in sentences; empty = it does
 * @property {() => void} chosen a file has been chosen
 */
import { api, app } from './comfy.js'
import { word } from './editor/words.js'

/** The camera files that Python reads (ex4d_core/camera_io/formats.py); a test holds the two together. */
const SUFFIXES = '.json,.npz,.txt,.chan,.gltf,.glb,.jsx,.py,.nk,.usda,.usd'
/** What a .gltf may keep its numbers in, and is of use beside one only. */
const BUFFER = '.bin'
const LABEL = 'choose camera file to upload'

/**
 * Gives a node the button, which must be added behind all widgets that are saved, so that no saved value shifts, and
 * takes files that are dropped on it.
 * @param {GraphNode} node
 * @param {CameraFileOptions} options
 */
export function addCameraFiles(node, options) {
  const picker = document.createElement('input')
  picker.type = 'file'
  picker.multiple = true
  picker.accept = `${SUFFIXES},${BUFFER}`
  picker.addEventListener('change', () => {
    const files = [...(picker.files ?? [])]
    picker.value = '' // the same file can be chosen again after it has changed
    void take(node, files, options)
  })
  const button = node.addWidget('button', 'upload_camera', '', () => picker.click(), { serialize: false })
  button.label = word(LABEL)
  button.serialize = false
  takeDrops(node, options)
}

/**
 * Files of other kinds stay the host's: what is not a camera file goes on to where it went before.
 * @param {GraphNode} node
 * @param {CameraFileOptions} options
 */
function takeDrops(node, options) {
  /** @returns {boolean} whether the drop is taken */
  const takes = (/** @type {DragEvent} */ event) => {
    const files = [...(event.dataTransfer?.files ?? [])]
    if (!files.some(isCameraFile)) return false
    void take(node, files, options)
    return true
  }
  const { onDragOver, onDragDrop } = node
  // A browser tells the names of dragged files only once they are dropped.
  node.onDragOver = (event) => hasFiles(event) || !!onDragOver?.call(node, event)
  node.onDragDrop = (event) => takes(event) || (onDragDrop?.call(node, event) ?? false)
  const { element } = options
  const mark = (/** @type {boolean} */ on) => element.classList.toggle('ex4d-drop', on)
  element.addEventListener('dragover', (event) => {
    if (!hasFiles(event)) return
    event.preventDefault()
    mark(true)
  })
  element.addEventListener('dragleave', (event) => {
    if (!element.contains(/** @type {Node | null} */ (event.relatedTarget))) mark(false)
  })
  element.addEventListener('drop', (event) => {
    mark(false)
    if (!takes(event)) return
    event.preventDefault()
    event.stopPropagation()
  })
}

/** @param {DragEvent} event */
const hasFiles = ({ dataTransfer }) => [...(dataTransfer?.items ?? [])].some(({ kind }) => kind === 'file')

/** @param {string} name */
const suffixOf = (name) => name.slice(name.lastIndexOf('.')).toLowerCase()
/** @param {{name: string}} file */
const isCameraFile = ({ name }) => SUFFIXES.split(',').includes(suffixOf(name))

/**
 * Uploads the first camera file, with what lies beside a .gltf, and chooses it.
 * @param {GraphNode} node
 * @param {File[]} files
 * @param {CameraFileOptions} options
 */
async function take(node, files, { lists, refusal, chosen }) {
  const cameras = files.filter(isCameraFile)
  if (!cameras.length) return
  const [file] = cameras
  if (await isGraph(file)) {
    await app.handleFile(file)
    return
  }
  const why = refusal()
  if (why.length) {
    tell('warn', 'Camera file not used', file.name, ...why)
    return
  }
  try {
    if (suffixOf(file.name) === '.gltf')
      for (const each of files) if (suffixOf(each.name) === BUFFER) await upload(each)
    const path = await upload(file)
    const [list] = lists()
    for (const { options } of lists()) if (!options?.values?.includes(path)) options?.values?.push(path)
    list.value = path
    list.callback?.(path, app.canvas, node)
    chosen()
    node.setDirtyCanvas?.(true, true)
    if (cameras.length > 1) tell('info', 'One camera file at a time', `${path} is used; the others were not uploaded.`)
  } catch (error) {
    tell('error', 'Camera file not uploaded', `${file.name}: ${error}`)
  }
}

/** @param {File} file @returns {Promise<string>} its name below the input folder */
async function upload(file) {
  const form = new FormData()
  form.append('image', file) // the route's name for any file
  form.append('type', 'input')
  const answer = await api.fetchApi('/upload/image', { method: 'POST', body: form })
  if (answer.status !== 200) throw new Error(`${answer.status} ${answer.statusText}`)
  const { name, subfolder } = await answer.json()
  return subfolder ? `${subfolder}/${name}` : name
}

/** Whether a .json is a saved graph, in either of the frontends' formats, which stays the host's. @param {File} file */
async function isGraph(file) {
  if (suffixOf(file.name) !== '.json') return false
  try {
    const content = JSON.parse(await file.text())
    const values = Object.values(content)
    return Array.isArray(content.nodes) || (values.length > 0 && values.every((value) => !!value?.class_type))
  } catch {
    return false // what is wrong with it is said by the run
  }
}

/** @param {'info' | 'warn' | 'error'} severity @param {string} summary @param {string[]} detail */
function tell(severity, summary, ...detail) {
  app.extensionManager?.toast?.add({
    severity,
    summary: word(summary),
    detail: detail.map((each) => word(each)).join(' '),
    life: 8000
  })
}
