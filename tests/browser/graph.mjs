// The editor as a part of its graph: copies, undo of the graph, tabs and subgraphs, without a run: node graph.mjs URL
import * as comfy from './comfy.mjs'
import { CAMERA_NODE as NODE, open, pass, placeAlone, ready } from './comfy.mjs'

const [url] = process.argv.slice(2)
const { browser, page, seen } = await open(url, {
  settings: { 'Comfy.VueNodes.Enabled': false },
  width: 1300,
  height: 1000
})
const report = { seen }
const inEditor = (work, argument) => comfy.inEditor(page, work, argument)
const text = () => inEditor((editor) => editor.host.read())
const command = (name) => page.evaluate((id) => window.app.extensionManager.command.execute(id), name)
/** Longer than the editor waits before it tells the graph's undo of a change. */
const rest = () => pass(page, 450)
const attached = () => comfy.waitForEditor(page, (editor) => !editor.disposed && editor.element.clientWidth > 0)
/** Turns the camera at a frame by hand: the path becomes keys. @returns its text */
const turn = async (frame, angle) => {
  await inEditor(
    (editor, node, at) => {
      editor.state.goTo(at.frame)
      editor.commands.nudge(at.angle, 0)
      editor.state.settle()
    },
    { frame, angle }
  )
  await rest()
  return text()
}
/** Whether a change makes the shot view draw. */
const draws = () =>
  inEditor(async (editor) => {
    const view = editor.shotView
    let count = 0
    view.draw = () => {
      count++
      Object.getPrototypeOf(view).draw.call(view)
    }
    editor.redraw()
    for (let wait = 0; !count && wait < 50; wait++) await new Promise((done) => setTimeout(done, 100))
    delete view.draw
    return count > 0
  })
const place = () => placeAlone(page, 'EX4DCameraTrajectory')

try {
  await place()
  await attached()
  await rest()

  // Copy and paste as the keyboard does it: the same path, and from then on its own.
  const first = await turn(24, 20)
  report.paste = await inEditor(async (editor, node) => {
    const { app } = window
    app.canvas.selectItems ? app.canvas.selectItems([node]) : app.canvas.selectNodes([node])
    app.canvas.copyToClipboard()
    app.canvas.pasteFromClipboard()
    await new Promise((done) => setTimeout(done, 600))
    const copy = app.canvas.graph.nodes.find((other) => other.type === node.type && other !== node)
    const same = copy.ex4dEditor.host.read() === editor.host.read()
    const own = copy.ex4dEditor !== editor && copy.ex4dEditor.state !== editor.state
    copy.ex4dEditor.state.goTo(12)
    copy.ex4dEditor.commands.nudge(-30, 5)
    copy.ex4dEditor.state.settle()
    await new Promise((done) => setTimeout(done, 300))
    const result = {
      same,
      own,
      apart: copy.ex4dEditor.host.read() !== editor.host.read(),
      undone: editor.state.past.length
    }
    app.canvas.graph.remove(copy)
    return result
  })
  report.paste.kept = (await text()) === first
  await rest()

  // The editor's undo takes back what was edited in it; the graph's works on the node, and the editor follows.
  const second = await turn(36, 15)
  await inEditor((editor) => editor.focus())
  await page.keyboard.press('Control+z')
  await rest()
  report.undo = { editor: (await text()) === first, nodes: await page.evaluate(() => window.app.graph.nodes.length) }
  await page.keyboard.press('Control+Shift+z')
  await rest()
  report.undo.redone = (await text()) === second
  await page.evaluate(() => document.activeElement?.blur())
  await command('Comfy.Undo')
  await attached()
  await rest()
  report.undo.graph = (await text()) !== second
  report.undo.follows = await inEditor((editor) => editor.state.text === editor.host.read())
  await command('Comfy.Redo')
  await attached()
  await rest()
  report.undo.graphRedone = (await text()) === second
  report.undo.draws = await draws()

  // Another tab and back.
  const tabs = await page.evaluate(() => window.app.extensionManager.workflow.openWorkflows.length)
  await command('Comfy.NewBlankWorkflow')
  await page.waitForFunction((count) => window.app.extensionManager.workflow.openWorkflows.length > count, tabs, {
    timeout: comfy.PATIENCE
  })
  await rest()
  report.tabs = {
    away: await page.evaluate(`!${NODE}`),
    gone: await page.evaluate(() => document.querySelectorAll('.ex4d-editor').length)
  }
  await command('Workspace.PreviousOpenedWorkflow')
  await attached()
  await rest()
  report.tabs.kept = (await text()) === second
  report.tabs.draws = await draws()

  // Inside a subgraph: edit, save, reload the page.
  report.subgraph = await inEditor(async (editor, node) => {
    const { app } = window
    const { node: outer } = app.graph.convertToSubgraph(new Set([node]))
    app.canvas.setGraph ? app.canvas.setGraph(outer.subgraph) : app.canvas.openSubgraph(outer.subgraph)
    return { inside: outer.subgraph.nodes.length }
  })
  await attached()
  await rest()
  report.subgraph.carried = (await text()) === second
  const edited = await turn(10, -25)
  report.subgraph.changed = edited !== second
  report.subgraph.draws = await draws()
  const saved = await page.evaluate(() => JSON.stringify(window.app.graph.serialize()))
  report.subgraph.saved = JSON.parse(saved).definitions.subgraphs[0].nodes[0].widgets_values.includes(edited)
  const prompt = await page.evaluate(async () => Object.values((await window.app.graphToPrompt()).output))
  report.subgraph.sent = prompt.find((node) => node.class_type === 'EX4DCameraTrajectory')?.inputs.path === edited
  await page.reload({ waitUntil: 'domcontentloaded' })
  await ready(page)
  await page.evaluate((graph) => window.app.loadGraphData(JSON.parse(graph)), saved)
  await rest()
  await page.evaluate(() => {
    const { app } = window
    const outer = app.graph.nodes.find((node) => node.subgraph)
    app.canvas.setGraph ? app.canvas.setGraph(outer.subgraph) : app.canvas.openSubgraph(outer.subgraph)
  })
  await attached()
  report.subgraph.reloaded = (await text()) === edited
  report.subgraph.drawsAgain = await draws()
} finally {
  await browser.close()
}
console.log(JSON.stringify(report))
