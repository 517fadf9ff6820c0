/**
 * The pack's page in ComfyUI's settings. The host keeps the values; `nodes/settings.py` reads the size of previews from its
 * file when a node runs.
 *
 * @import { GraphNode } from './graphNode.js'
 */
import { app } from './comfy.js'
import { AUTOMATIC, PACES, preferPace } from './editor/pace.js'
import { widgetOf } from './graphNode.js'

const RENDER = 'EX4DRenderColorMask'
const BACKEND = 'backend'
export const BACKEND_SETTING = 'EX4D.Render.Backend'
/** As in ex4d_core/render/choose.py, by the sides of films in nodes/settings.py; tests hold them together. */
export const BACKENDS = ['auto', 'nvdiffrast', 'triton', 'numba', 'torch']
export const SIDES = [128, 256, 384, 512]

/** What the host shows, last first. Names and tips in other languages: locales/<language>/settings.json. */
export const SETTINGS = [
  {
    id: BACKEND_SETTING,
    category: ['EX-4D', 'Nodes', 'Backend'],
    name: 'Renderer of new Render Color + Mask nodes',
    tooltip: 'Nodes that are added from now on begin with it. Those of a graph keep their own.',
    type: 'combo',
    options: BACKENDS,
    defaultValue: BACKENDS[0]
  },
  {
    id: 'EX4D.Preview.Side',
    category: ['EX-4D', 'Nodes', 'PreviewSide'],
    name: 'Size of the films in nodes',
    tooltip:
      'A film has as many pixels as a square of this side. Larger ones take longer to make. From the next run on.',
    type: 'combo',
    options: SIDES.map((side) => ({ text: `${side} x ${side}`, value: side })),
    defaultValue: 256
  },
  {
    id: 'EX4D.Editor.Pace',
    category: ['EX-4D', 'Editor', 'Pace'],
    name: 'Picture of the camera editor while something moves',
    tooltip:
      'automatic: coarser as soon as the machine cannot follow. fine: always in full. fast: always coarser. At rest it is in full.',
    type: 'combo',
    options: PACES,
    defaultValue: AUTOMATIC,
    onChange: preferPace
  }
]

app.registerExtension({
  name: 'EX4D.Settings',
  settings: SETTINGS,
  /** A graph that is opened or pasted sets its own values after this. @param {GraphNode & {constructor: any}} node */
  nodeCreated(node) {
    if ((node.constructor?.comfyClass ?? node.comfyClass) !== RENDER) return
    const widget = widgetOf(node, BACKEND)
    const wanted = app.ui.settings.getSettingValue(BACKEND_SETTING)
    if (widget && BACKENDS.includes(wanted)) widget.value = wanted
  }
})
