// node language.mjs URL FOLDER LANGUAGE: the camera node and its help in another language. Prints one line of JSON.
import { join } from 'node:path'
import { buildChain, fit, inEditor, open, run } from './comfy.mjs'

const [url, folder, language] = process.argv.slice(2)
const { browser, page, seen } = await open(url, { settings: { 'Comfy.Locale': language }, width: 1500, height: 1000 })
try {
  await buildChain(page, 208)
  await fit(page)
  const report = { seen }
  report.before = await inEditor(page, (editor, node) => ({ title: node.title, note: editor.sceneNote }))
  await run(page)
  await page.waitForTimeout(1500)
  report.page = await inEditor(page, (editor, node) => ({
    undo: editor.page.buttons.undo.title,
    presets: [...editor.page.element.querySelectorAll('select')][0].options[7]?.textContent,
    status: editor.page.element.querySelector('.ex4d-status').textContent,
    label: node.inputs.find((input) => input.name === 'mesh')?.localized_name
  }))
  await inEditor(page, (editor) => editor.page.toggleHelp())
  await page.screenshot({ path: join(folder, `language-${language}.png`) })
  report.help = await inEditor(page, (editor) => editor.page.help.querySelector('h3').textContent)
  console.log(JSON.stringify(report))
} finally {
  await fetch(`${url}/api/settings`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: '{"Comfy.Locale": "en"}'
  })
  await browser.close()
}
