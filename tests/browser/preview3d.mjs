// A clip's animated mesh in ComfyUI's own 3D viewer: what Save Animated Mesh writes, shown by Preview 3D & Animation from the
// first camera of the path.
import { PATIENCE, fit, pass, run } from './comfy.mjs'

/** Share of a picture's pixels that have a colour, as the clip does and the viewer's empty stage does not. */
const coloured = (page, png) =>
  page.evaluate(async (text) => {
    const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0))
    const image = await createImageBitmap(new Blob([bytes]))
    const context = new OffscreenCanvas(image.width, image.height).getContext('2d')
    context.drawImage(image, 0, 0)
    const { data } = context.getImageData(0, 0, image.width, image.height)
    let count = 0
    for (let i = 0; i < data.length; i += 4) {
      const levels = [data[i], data[i + 1], data[i + 2]]
      if (Math.max(...levels) - Math.min(...levels) > 40) count++
    }
    return (4 * count) / data.length
  }, png.toString('base64'))

/**
 * Adds both nodes behind the one with a mesh, runs, and waits for the viewer's picture, in Vue nodes.
 * @returns {Promise<{run: object, empty: number, shown: number}>} coloured shares before and after the run
 */
export async function previewMesh(page, path) {
  const id = await page.evaluate(() => {
    const { app, LiteGraph } = window
    const from = app.graph.nodes.find((node) => node.outputs?.some((output) => output.type === 'EX4D_DWMESH'))
    const [save, shown] = ['EX4DSaveAnimatedMesh', 'Preview3D'].map((type, i) => {
      const node = LiteGraph.createNode(type)
      node.pos = [i * 420, 1100]
      app.graph.add(node)
      return node
    })
    save.widgets.find((widget) => widget.name === 'faces').value = 8000
    const link = (node, output, to, input) =>
      node.connect(
        node.outputs.findIndex((each) => each.type === output),
        to,
        to.inputs.findIndex((each) => each.name === input)
      )
    link(from, 'EX4D_DWMESH', save, 'mesh')
    link(save, 'STRING', shown, 'model_file')
    const camera = app.graph.nodes.find((node) => node.type === 'EX4DCameraTrajectory')
    link(camera, 'LOAD3D_CAMERA', shown, 'camera_info')
    shown.setSize([700, 700])
    return String(shown.id)
  })
  await fit(page)
  const viewer = page.locator(`[data-node-id="${id}"] canvas`).first()
  await viewer.waitFor({ timeout: PATIENCE })
  const empty = await coloured(page, await viewer.screenshot())
  const result = await run(page)
  let shown = empty
  for (const end = Date.now() + PATIENCE; shown <= empty + 0.1 && Date.now() < end;) {
    await pass(page, 300)
    shown = await coloured(page, await viewer.screenshot())
  }
  await viewer.screenshot({ path })
  return { run: result, empty, shown }
}
