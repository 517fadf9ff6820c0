// The camera editor where a link, or the face of a subgraph, decides what is rendered: node linked.mjs URL FOLDER [vue]
import { join } from 'node:path'
import * as comfy from './comfy.mjs'
import { CAMERA_NODE, fit, open, pass, picture, placeAlone, prompt, ready, run } from './comfy.mjs'

const [url, folder, renderer = 'litegraph'] = process.argv.slice(2)
const { browser, page, seen } = await open(url, {
  settings: { 'Comfy.VueNodes.Enabled': renderer === 'vue' },
  width: 1300,
  height: 1100
})
const report = { seen, runs: [] }
const inEditor = (work, argument) => comfy.inEditor(page, work, argument)
const attached = () => comfy.waitForEditor(page, (editor) => !editor.disposed && editor.element.clientWidth > 0)
/** Longer than the editor takes to look at values and links. */
const look = () => pass(page, 450)
const shoot = (name) => picture(page, join(folder, `linked-${renderer}-${name}.png`))
const state = () =>
  inEditor((editor, node) => ({
    angle: editor.state.document.source?.params.angle ?? null,
    fps: editor.state.document.fps,
    keys: editor.state.document.keyframes.length,
    text: editor.host.read(),
    own: node.widgets.find((widget) => widget.name === 'path').value,
    status: editor.status.element.textContent,
    refused: editor.state.refused
  }))
/** Links a core node with a value to an input of the camera node. */
const linkValue = (type, value, input) =>
  page.evaluate(
    `(([type, value, input]) => {
      const { app, LiteGraph } = window
      const node = ${CAMERA_NODE}
      const given = LiteGraph.createNode(type)
      given.pos = [-260, 60 + 120 * app.graph.nodes.length]
      app.graph.add(given)
      given.widgets[0].value = value
      given.connect(0, node, node.inputs.findIndex((each) => each.name === input))
    })(${JSON.stringify([type, value, input])})`
  )
/** Lets the graph's undo take notice of what is there. */
const capture = async () => {
  await page.evaluate(() => {
    const tracker = window.app.extensionManager.workflow.activeWorkflow.changeTracker
    tracker.captureCanvasState ? tracker.captureCanvasState() : tracker.checkState()
  })
  await look()
}
const runIt = async () => {
  report.runs.push((await run(page)).status)
  await look()
}
/** Tries to edit by hand: a drag in the shot view. */
const drag = async () => {
  const shot = await page.locator('.ex4d-shot canvas').first().boundingBox()
  await page.mouse.move(shot.x + shot.width / 2, shot.y + shot.height / 2)
  await page.mouse.down()
  for (let i = 1; i <= 6; i++) await page.mouse.move(shot.x + shot.width / 2 - 9 * i, shot.y + shot.height / 2)
  await page.mouse.up()
  await look()
}
const sent = async () =>
  Object.values(await prompt(page)).find((node) => node.class_type === 'EX4DCameraTrajectory').inputs
const openInside = () =>
  page.evaluate(() => {
    const { app } = window
    const outer = app.graph.nodes.find((node) => node.subgraph)
    app.canvas.setGraph ? app.canvas.setGraph(outer.subgraph) : app.canvas.openSubgraph(outer.subgraph)
  })
/** A widget on the subgraph node's face. */
const face = (name, value) =>
  page.evaluate(
    ([name, value]) => {
      const outer = (window.app.rootGraph ?? window.app.graph).nodes.find((node) => node.subgraph)
      const widget = outer.widgets.find((each) => each.name === name)
      if (value !== null) widget.value = value
      return widget.value
    },
    [name, value ?? null]
  )

try {
  // Numbers over links.
  await placeAlone(page, 'EX4DCameraTrajectory')
  await attached()
  await linkValue('PrimitiveFloat', 33, 'angle')
  await linkValue('PrimitiveFloat', 24, 'fps')
  await look()
  report.before = await state()
  await capture()
  await runIt()
  report.numbers = await state()
  await fit(page)
  await look()
  await shoot('1-numbers')
  // Undo makes the node anew, as it was before the run.
  await page.evaluate(() => {
    window.app.graph.nodes.find((node) => node.type === 'PrimitiveFloat').widgets[0].value = 34
  })
  await capture()
  await page.evaluate(() => window.app.extensionManager.command.execute('Comfy.Undo'))
  await attached()
  await look()
  report.undone = await state()

  // A value that changes without a word to the node.
  await placeAlone(page, 'EX4DCameraTrajectory')
  await attached()
  await inEditor((editor, node) => {
    node.widgets.find((widget) => widget.name === 'angle').value = 45
  })
  await look()
  report.silent = await state()

  // The path over a link.
  const path = JSON.stringify({
    version: 1,
    frames: 9,
    keyframes: [
      { frame: 0, position: [0, 0, 0], target: [0, 0, 2.7] },
      { frame: 8, position: [1, 0, 0.4], target: [0, 0, 2.7] }
    ]
  })
  await linkValue('PrimitiveString', path, 'path')
  await look()
  report.pathBefore = await state()
  await runIt()
  report.path = await state()
  await fit(page)
  await look()
  await drag()
  report.dragged = await state()
  await shoot('2-path')
  await page.locator('.ex4d-status .ex4d-link').first().click()
  await look()
  report.unlinked = { ...(await state()), sent: (await sent()).path }
  await drag()
  report.edited = { ...(await state()), sent: (await sent()).path }

  // Promoted to the face of a subgraph.
  await placeAlone(page, 'EX4DCameraTrajectory')
  await attached()
  // Newer frontends give a new node the values of the one that had its number.
  await inEditor((editor, node) => {
    node.widgets.find((widget) => widget.name === 'path').value = ''
  })
  await page.evaluate(async () => {
    const { app } = window
    const { node: outer } = app.graph.convertToSubgraph(new Set([app.graph.nodes[0]]))
    app.canvas.setGraph ? app.canvas.setGraph(outer.subgraph) : app.canvas.openSubgraph(outer.subgraph)
    await new Promise((done) => setTimeout(done, 600))
    const inner = outer.subgraph.nodes[0]
    for (const name of ['path', 'angle']) {
      const slot = inner.inputs.find((input) => input.name === name)
      outer.subgraph.inputNode.emptySlot.connect(slot, inner)
    }
  })
  await attached()
  await face('angle', 21)
  await look()
  report.face = await state()
  await runIt()
  report.faceRun = { ...(await state()), sent: await sent() }
  await fit(page)
  await drag()
  report.faceEdited = { ...(await state()), face: await face('path'), sent: (await sent()).path }
  await shoot('3-face')
  await face('path', path)
  await look()
  report.facePath = { ...(await state()), face: await face('path') }
  await runIt()

  // Saved and opened again.
  const saved = await page.evaluate(() => JSON.stringify((window.app.rootGraph ?? window.app.graph).serialize()))
  await page.reload({ waitUntil: 'domcontentloaded' })
  await ready(page)
  await page.evaluate((graph) => window.app.loadGraphData(JSON.parse(graph)), saved)
  await look()
  await openInside()
  await attached()
  await look()
  report.reloaded = { ...(await state()), face: await face('path'), sent: (await sent()).path }

  // A second node of the same subgraph has a path of its own.
  await page.evaluate(() => {
    const root = window.app.rootGraph ?? window.app.graph
    const outer = root.nodes.find((node) => node.subgraph)
    root.add(outer.clone())
  })
  await look()
  report.shared = await state()
} finally {
  await browser.close()
}
console.log(JSON.stringify(report))
