// node preferences.mjs URL FOLDER: the pack under settings of the host: another language, renderer and size of films.
// Prints one line of JSON.
import { join } from 'node:path'
import { buildChain, fit, inEditor, open, picture, previews, run } from './comfy.mjs'

const [url, folder] = process.argv.slice(2)
const CHOSEN = { 'Comfy.Locale': 'zh', 'EX4D.Render.Backend': 'torch', 'EX4D.Preview.Side': 128 }
const USUAL = { 'Comfy.Locale': 'en', 'EX4D.Render.Backend': 'auto', 'EX4D.Preview.Side': 256 }
const { browser, page, seen } = await open(url, { settings: CHOSEN, width: 1500, height: 1000 })
try {
  await buildChain(page, 208)
  await fit(page)
  const report = { seen }
  report.before = await inEditor(page, (editor, node) => ({ title: node.title, note: editor.sceneNote }))
  report.backend = await page.evaluate(
    () => window.app.graph.nodes.find((node) => node.type === 'EX4DRenderColorMask').widgets[0].value
  )
  // A graph that is opened keeps what it holds.
  report.kept = await page.evaluate(async () => {
    const { app } = window
    const graph = app.graph.serialize()
    const render = graph.nodes.find((node) => node.type === 'EX4DRenderColorMask')
    render.widgets_values[0] = 'numba'
    await app.loadGraphData(graph)
    return app.graph.nodes.find((node) => node.type === 'EX4DRenderColorMask').widgets[0].value
  })
  const { shown, ...result } = await run(page)
  report.result = result
  const clip = await page.evaluate(() => String(window.app.graph.nodes.find((node) => node.type === 'EX4DDemoClip').id))
  report.film = (await previews(page, [clip]))[clip]
  report.page = await inEditor(page, (editor, node) => ({
    undo: editor.page.buttons.undo.title,
    preset: editor.page.element.querySelector('select option[value=orbit]').textContent,
    status: editor.page.element.querySelector('.ex4d-status').textContent,
    label: node.inputs.find((input) => input.name === 'mesh')?.localized_name
  }))
  await inEditor(page, (editor) => editor.page.toggleHelp())
  await picture(page, join(folder, 'preferences.png'))
  report.help = await inEditor(page, (editor) => editor.page.help.querySelector('h3').textContent)
  console.log(JSON.stringify(report))
} finally {
  await fetch(`${url}/api/settings`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify(USUAL)
  })
  await browser.close()
}
