// Camera files into the camera node: by its upload button, dropped on the node, dropped on its editor; and what is no
// camera file. node camera_file.mjs URL UPLOADED DROPPED-JSON DROPPED-TEXT GRAPH [vue]. Prints one line of JSON.
import { readFileSync } from 'node:fs'
import { basename } from 'node:path'
import { CAMERA_NODE, PATIENCE, clear, inEditor, open, pass, prompt, run, saved, waitForEditor } from './comfy.mjs'

const [url, file, json, text, graph, renderer = 'litegraph'] = process.argv.slice(2)
const { browser, page, seen } = await open(url, { settings: { 'Comfy.VueNodes.Enabled': renderer === 'vue' } })
const report = { seen }
const values = (graph) => graph.nodes[0].widgets_values
const chosen = () => page.evaluate(`${CAMERA_NODE}?.widgets.find((widget) => widget.name === 'file').value ?? null`)
const becomes = async (name) => {
  for (let wait = 0; (await chosen()) !== name && wait < 100; wait++) await page.waitForTimeout(100)
  return chosen()
}
/** Drops files at a place of the page, as a browser tells of it. */
const drop = (at, ...files) =>
  page.evaluate(
    async ([at, files]) => {
      const data = new DataTransfer()
      for (const { name, text, type } of files) data.items.add(new File([text], name, { type }))
      const target = document.elementFromPoint(at.x, at.y)
      const options = { bubbles: true, cancelable: true, clientX: at.x, clientY: at.y, dataTransfer: data }
      for (const name of ['dragenter', 'dragover', 'drop']) {
        target.dispatchEvent(new DragEvent(name, options))
        await new Promise((done) => setTimeout(done, 150))
      }
    },
    [at, files]
  )
const given = (path, type = '') => ({ name: basename(path), text: readFileSync(path, 'utf8'), type })
/** The middle of the node's title, which is the node's own. */
const title = () =>
  page.evaluate(`(() => {
    const node = ${CAMERA_NODE}
    const { ds, canvas } = window.app.canvas
    const { left, top } = canvas.getBoundingClientRect()
    const at = (i, plus) => (node.pos[i] + plus + ds.offset[i]) * ds.scale
    return { x: at(0, 150) + left, y: at(1, -12) + top }
  })()`)
const middle = async (selector) => {
  const box = await page.locator(selector).first().boundingBox()
  return { x: box.x + box.width / 2, y: box.y + box.height / 2 }
}
const nodes = () => page.evaluate(() => window.app.graph.nodes.map((node) => node.type))

try {
  await clear(page)
  await page.evaluate(() => {
    const node = window.LiteGraph.createNode('EX4DCameraTrajectory')
    node.pos = [300, 120]
    window.app.graph.add(node)
  })
  await waitForEditor(page, (editor) => editor.element.clientWidth > 0)
  report.before = values(await saved(page))
  const chooser = page.waitForEvent('filechooser', { timeout: PATIENCE })
  await page.evaluate(`${CAMERA_NODE}.widgets.find((widget) => widget.name === 'upload_camera').callback()`)
  await (await chooser).setFiles(file)
  report.uploaded = await becomes(basename(file))
  report.after = values(await saved(page))
  report.inputs = Object.values(await prompt(page))[0].inputs
  const { shown, ...result } = await run(page)
  Object.assign(report, { result, shown })

  // On the node's title, after an edit by hand, which a chosen file takes the place of.
  await inEditor(page, (editor) => editor.commands.nudge(20, 0))
  report.edited = (await inEditor(page, (editor) => editor.host.read())) !== ''
  await drop(await title(), given(json, 'application/json'))
  report.onNode = { file: await becomes(basename(json)), nodes: await nodes() }
  report.onNode.path = await inEditor(page, (editor) => editor.host.read())
  // On the editor's view.
  await drop(await middle('.ex4d-scene canvas'), given(text, 'text/plain'))
  report.onEditor = { file: await becomes(basename(text)), nodes: await nodes() }

  // A file that would not count, as the file comes over a link: it is said, and nothing changes.
  await page.evaluate(`(() => {
    const node = ${CAMERA_NODE}
    const given = window.LiteGraph.createNode('PrimitiveString')
    given.pos = [-400, 120] // beside the camera node: whatever lies over the editor would get the drop
    window.app.graph.add(given)
    given.connect(0, node, node.inputs.findIndex((each) => each.name === 'path'))
  })()`)
  await pass(page, 400)
  await drop(await middle('.ex4d-scene canvas'), given(json, 'application/json'))
  const told = page.getByText('Camera file not used', { exact: true }).first()
  report.refused = {
    told: await told.waitFor({ timeout: 8000 }).then(
      () => true,
      () => false
    ),
    file: await chosen()
  }

  // A saved graph goes on to the host, which opens it.
  await drop(await middle('.ex4d-scene canvas'), given(graph, 'application/json'))
  for (let wait = 0; (await nodes()).includes('EX4DCameraTrajectory') && wait < 100; wait++)
    await page.waitForTimeout(100)
  report.graph = await nodes()
  report.leaves = await page.evaluate(() => document.querySelectorAll('.ex4d-editor').length)
} finally {
  await browser.close()
}
console.log(JSON.stringify(report))
