// node camera_file.mjs URL FILE: presses the camera node's upload button and chooses a file. Prints one line of JSON:
// the choice, the widgets in the order in which they are saved, and the end of a run.

import { clear, open, prompt, run, saved } from './comfy.mjs'

const [url, file] = process.argv.slice(2)
const { browser, page, seen } = await open(url)
try {
  await clear(page)
  await page.evaluate(() => window.app.graph.add(window.LiteGraph.createNode('EX4DCameraTrajectory')))
  const before = await saved(page)
  const chooser = page.waitForEvent('filechooser', { timeout: 20000 })
  await page.evaluate(() =>
    window.app.graph.nodes[0].widgets.find((widget) => widget.name === 'upload_camera').callback()
  )
  await (await chooser).setFiles(file)
  await page.waitForFunction(
    () => window.app.graph.nodes[0].widgets.find((widget) => widget.name === 'file').value !== 'none',
    null,
    { timeout: 20000 }
  )
  const after = await saved(page)
  const [node] = Object.values(await prompt(page))
  const { shown, ...result } = await run(page)
  const values = (graph) => graph.nodes[0].widgets_values
  console.log(
    JSON.stringify({ before: values(before), after: values(after), inputs: node.inputs, result, shown, seen })
  )
} finally {
  await browser.close()
}
