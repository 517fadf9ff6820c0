// What nodes show of a run, pictures and lines of numbers, in a real frontend: as the run ends, after another run, in a
// tab that was left, after an undo, and inside a subgraph; in Vue nodes also the clip's mesh in the host's own 3D viewer.
// node numbers.mjs URL FOLDER [vue]
import { join } from 'node:path'
import { PATIENCE, buildChain, fit, inEditor, open, pass, picture, run, waitForEditor } from './comfy.mjs'
import { previewMesh } from './preview3d.mjs'

const [url, folder, renderer = 'litegraph'] = process.argv.slice(2)
const { browser, page, seen } = await open(url, {
  settings: { 'Comfy.VueNodes.Enabled': renderer === 'vue' },
  width: 1700,
  height: 900,
  bypassCSP: renderer === 'vue'
})
const report = { seen, runs: [], shown: {} }
const command = (name) => page.evaluate((id) => window.app.extensionManager.command.execute(id), name)
const rest = () => pass(page, 450)
/** Sets a widget of the mesh node as a hand does, so that an undo can take it back. */
const setMinAngle = (value) =>
  page.evaluate((angle) => {
    const { app } = window
    const mesh = app.graph.nodes.find((node) => node.type === 'EX4DBuildDWMesh')
    mesh.widgets.find((widget) => widget.name === 'min_angle').value = angle
    const tracker = app.extensionManager.workflow.activeWorkflow.changeTracker
    tracker.captureCanvasState ? tracker.captureCanvasState() : tracker.checkState()
  }, value)
/** The text of each node's last run, by type. @type {Record<string, string>} */
let texts = {}

async function runAndRead() {
  report.runs.push(await run(page))
  texts = await page.evaluate(() => window.texts)
}

/** How high the views of the camera editor are, in pixels of the graph. */
const viewsHeight = () => inEditor(page, (editor) => editor.page.views.clientHeight)

/** By type of node: how often each of its lines stands on the page whole, and its media. */
const read = () =>
  page.evaluate((texts) => {
    const isWhole = (text, at, length) => {
      const range = document.createRange()
      range.setStart(text, at)
      range.setEnd(text, at + length)
      const [inner, outer] = [range.getBoundingClientRect(), text.parentElement.getBoundingClientRect()]
      return (
        text.parentElement.checkVisibility() &&
        inner.width > 0 &&
        inner.top >= outer.top - 1 &&
        inner.bottom <= outer.bottom + 1
      )
    }
    /** Every line of text on the page, with its place. */
    const lines = []
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
    while (walker.nextNode()) {
      let at = 0
      for (const line of walker.currentNode.data.split('\n')) {
        lines.push({ line: line.trim(), text: walker.currentNode, at, length: line.length })
        at += line.length + 1
      }
    }
    const count = (line) =>
      lines.filter((each) => each.line === line && isWhole(each.text, each.at, each.length)).length
    const media = (node) => {
      const vue = [...document.querySelectorAll(`[data-node-id="${node.id}"] :is(img, video)`)]
      const classic = [...(node.imgs ?? []), ...(node.videoContainer?.querySelectorAll?.('video') ?? [])]
      return (vue.length ? vue : classic).map((item) =>
        item.tagName === 'VIDEO' ? (item.paused ? 'still' : 'playing') : 'image'
      )
    }
    return Object.fromEntries(
      window.app.canvas.graph.nodes
        .filter((node) => texts[node.type])
        .map((node) => {
          const counts = texts[node.type].split('\n').map((line) => [line, count(line)])
          return [node.type, { lines: Object.fromEntries(counts), media: media(node) }]
        })
    )
  }, texts)

const isComplete = (nodes) =>
  Object.entries(nodes).every(
    ([type, { lines, media }]) =>
      !Object.values(lines).includes(0) && !media.includes('still') && (media.length || type === 'EX4DCameraTrajectory')
  )

/** Notes what nodes show once that is complete and stays so, or what is there after a while; takes a picture of it. */
async function look(name) {
  await fit(page)
  let [before, shown] = ['', await read()]
  for (let tries = 0; tries < 20 && !(isComplete(shown) && JSON.stringify(shown) === before); tries++) {
    before = JSON.stringify(shown)
    await pass(page, 300)
    shown = await read()
  }
  report.shown[name] = shown
  await picture(page, join(folder, `numbers-${renderer}-${name}.png`))
}

try {
  await page.evaluate(() => {
    window.texts = {}
    window.app.api.addEventListener('executed', ({ detail: { node: id, output } }) => {
      const [, outer, inner] = String(id).match(/^(?:(.+):)?(.+)$/)
      const graph = outer ? window.app.graph.getNodeById(outer).subgraph : window.app.graph
      if (output?.text) window.texts[graph.getNodeById(inner).type] = output.text.join('\n')
    })
  })
  // A width of its own: what another test has left in the server's cache shows nothing.
  await buildChain(page, 272)
  await waitForEditor(page, (editor) => editor.element.clientWidth > 0)
  await rest()
  report.heights = [await viewsHeight()]
  await runAndRead()
  await look('first')
  report.heights.push(await viewsHeight())
  report.sent = await page.evaluate(async () => (await window.app.graphToPrompt()).output)
  report.saved = await page.evaluate(() => window.app.graph.serialize().nodes.flatMap((node) => node.widgets_values))

  // Other numbers take the place of the first ones. The clip is another, too, and takes its time: a tab keeps no outputs
  // that come before the frontend has the server's word that the prompt is queued.
  const before = texts
  await page.evaluate(() => {
    const clip = window.app.graph.nodes.find((node) => node.type === 'EX4DDemoClip')
    clip.widgets.find((widget) => widget.name === 'width').value = 512
  })
  await setMinAngle(20)
  await runAndRead()
  report.changed = before.EX4DBuildDWMesh !== texts.EX4DBuildDWMesh
  await look('second')

  await command('Comfy.NewBlankWorkflow')
  await page.waitForFunction(() => !window.app.graph.nodes.length, null, { timeout: PATIENCE })
  await rest()
  await command('Workspace.PreviousOpenedWorkflow')
  await page.waitForFunction(() => window.app.graph.nodes.length, null, { timeout: PATIENCE })
  await rest()
  await look('tab')

  await setMinAngle(10)
  await rest()
  await command('Comfy.Undo')
  await rest()
  await look('undo')

  // Inside a subgraph, which is opened after its run.
  await page.evaluate(() => {
    const { app } = window
    const [clip, mesh] = ['EX4DDemoClip', 'EX4DBuildDWMesh'].map((type) =>
      app.graph.nodes.find((node) => node.type === type)
    )
    clip.widgets.find((widget) => widget.name === 'frames').value = 8
    window.outer = app.graph.convertToSubgraph(new Set([clip, mesh])).node
  })
  await runAndRead()
  await page.evaluate(() => {
    const { app, outer } = window
    app.canvas.setGraph ? app.canvas.setGraph(outer.subgraph) : app.canvas.openSubgraph(outer.subgraph)
  })
  await rest()
  await look('subgraph')
  await page.evaluate(() => {
    const { app } = window
    app.canvas.setGraph ? app.canvas.setGraph(app.graph) : app.canvas.openSubgraph(app.graph)
  })
  await rest()
  await look('back')
  if (renderer === 'vue') report.viewer = await previewMesh(page, join(folder, 'preview3d.png'))
} finally {
  await browser.close()
}
console.log(JSON.stringify(report))
