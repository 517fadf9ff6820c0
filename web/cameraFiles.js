/**
 * A button that uploads a camera file into ComfyUI's input folder and chooses it. The hosts' own upload widgets take
 * pictures, videos and sound only.
 *
 * @import { GraphNode, Widget } from './comfy.js'
 */
import { api, app } from './comfy.js'
import { word } from './editor/words.js'

/** The camera files that Python reads (ex4d_core/camera_io/formats.py); a test holds the two together. */
const SUFFIXES = '.json,.npz,.txt,.chan,.gltf,.glb'
const LABEL = 'choose camera file to upload'

/**
 * Gives a node the button. It must be added behind all widgets that are saved, so that no saved value shifts.
 * @param {GraphNode} node
 * @param {Widget} list the combo that names the file
 */
export function addCameraUpload(node, list) {
  const picker = document.createElement('input')
  picker.type = 'file'
  picker.accept = SUFFIXES
  picker.addEventListener('change', () => {
    const file = picker.files?.[0]
    picker.value = '' // the same file can be chosen again after it has changed
    if (file) void uploadInto(node, list, file)
  })
  const button = node.addWidget('button', 'upload_camera', '', () => picker.click(), { serialize: false })
  button.label = word(LABEL)
  button.serialize = false
}

/** @param {GraphNode} node @param {Widget} list @param {File} file */
async function uploadInto(node, list, file) {
  const form = new FormData()
  form.append('image', file) // the route's name for any file
  form.append('type', 'input')
  try {
    const answer = await api.fetchApi('/upload/image', { method: 'POST', body: form })
    if (answer.status !== 200) throw new Error(`${answer.status} ${answer.statusText}`)
    const { name, subfolder } = await answer.json()
    const path = subfolder ? `${subfolder}/${name}` : name
    if (!list.options?.values?.includes(path)) list.options?.values?.push(path)
    list.value = path
    list.callback?.(path, app.canvas, node)
    node.setDirtyCanvas?.(true, true)
  } catch (error) {
    app.extensionManager?.toast?.add({
      severity: 'error',
      summary: word('Camera file not uploaded'),
      detail: `${file.name}: ${error}`,
      life: 8000
    })
  }
}
