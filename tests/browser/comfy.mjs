// Drives a real ComfyUI frontend in Chromium: open, load templates, queue, read widgets and previews.

import { existsSync } from 'node:fs'
import { chromium } from 'playwright-core'

export const FLAGS = [
  '--no-sandbox',
  // Nothing may leave the machine. A route that stops requests would pass each of them through this process.
  '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1',
  '--use-gl=angle',
  '--use-angle=swiftshader',
  '--enable-unsafe-swiftshader',
  '--ignore-gpu-blocklist',
  // Where the processor draws, the page around WebGL's pictures is drawn in a fourth of the time without WebGL's detour.
  '--disable-gpu-compositing'
]

/** Milliseconds that are waited for what must come: long, since all waiting ends as soon as it is there. */
export const PATIENCE = 120000

/** Where Chromium is: CHROMIUM, Debian's, or whatever is on the PATH under a usual name. */
export function chromiumPath() {
  const candidates = [process.env.CHROMIUM, '/usr/lib/chromium/chromium', '/usr/bin/chromium', '/usr/bin/google-chrome']
  return candidates.find((path) => path && existsSync(path))
}

/** Settings that keep first-run dialogs and animations out of the way. */
export const SETTINGS = {
  'Comfy.TutorialCompleted': true,
  'Comfy.InstalledVersion': '9.9.9',
  'Comfy.Workflow.ShowMissingModelsWarning': true,
  'Comfy.Workflow.ShowMissingNodesWarning': true,
  'Comfy.Release.Status': "what's new seen",
  'Comfy.Notification.ShowVersionUpdates': false,
  'Comfy.Graph.CanvasInfo': false,
  'Comfy.Minimap.Visible': false
}

/**
 * Open the frontend of a server; `bypassCSP` leaves out the policy that the host sends under --disable-api-nodes, which forbids
 * its own 3D viewer to load the pictures of a GLB.
 * @returns {Promise<{browser, page, seen}>} seen: what went wrong so far (console errors, failed and external requests,
 *   policy violations)
 */
export async function open(url, { settings = {}, width = 1720, height = 1120, bypassCSP = false } = {}) {
  const response = await fetch(`${url}/api/settings`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ ...SETTINGS, ...settings })
  })
  if (!response.ok) throw new Error(`settings: ${response.status}`)
  const browser = await chromium.launch({
    executablePath: chromiumPath(),
    headless: true,
    args: ['--headless=new', ...FLAGS]
  })
  const page = await browser.newPage({ viewport: { width, height }, bypassCSP })
  const seen = { errors: [], failed: [], external: [], policy: [] }
  page.on('pageerror', (error) => seen.errors.push(String(error)))
  page.on('console', (message) => {
    if (message.type() !== 'error') return
    const text = message.text()
    ;(/Content Security Policy/i.test(text) ? seen.policy : seen.errors).push(
      `${text} ${message.location()?.url ?? ''}`
    )
  })
  page.on('response', (answer) => {
    if (answer.status() >= 400) seen.failed.push(`${answer.status()} ${answer.url()}`)
  })
  page.on('request', (request) => {
    const target = request.url()
    if (!target.startsWith(url) && !/^(data|blob|about):/.test(target)) seen.external.push(target)
  })
  await page.goto(url, { waitUntil: 'domcontentloaded' })
  await ready(page)
  return { browser, page, seen }
}

/** Wait for the frontend of a page that is being loaded, the pack's part of it, and the graph that it opens by itself. */
export async function ready(page) {
  await page.waitForFunction(
    () =>
      window.app?.graph &&
      window.app.extensionManager?.workflow?.activeWorkflow &&
      document.querySelector('#graph-canvas') &&
      window.LiteGraph?.registered_node_types.EX4DCameraTrajectory &&
      window.app.extensions.some((extension) => extension.name === 'EX4D.CameraPath'),
    null,
    { timeout: PATIENCE }
  )
  await pass(page, 400)
}

/**
 * Wait by the page's own clock, and for what is then drawn: timers that were set before and are shorter have ended, however
 * busy the machine is.
 */
export async function pass(page, milliseconds) {
  await page.evaluate(async (milliseconds) => {
    await new Promise((done) => setTimeout(done, milliseconds))
    for (let frame = 0; frame < 2; frame++) await new Promise(requestAnimationFrame)
  }, milliseconds)
}

/**
 * Wait until the nodes and the view of them have stood still for a while and several drawn frames, as they do at an
 * animation's end.
 */
export async function still(page, milliseconds = 250) {
  await page.evaluate(async (milliseconds) => {
    const end = performance.now() + 10000
    let [before, since, frames] = ['', performance.now(), 0]
    while (performance.now() < end && (frames < 6 || performance.now() < since + milliseconds)) {
      await new Promise(requestAnimationFrame)
      const { ds, graph } = window.app.canvas
      const nodes = graph.nodes.map((node) => [...node.pos, ...node.size])
      const drawn = [...document.querySelectorAll('[data-node-id]')].map((element) => element.getBoundingClientRect())
      const now = JSON.stringify([ds.scale, ...ds.offset, nodes, drawn])
      if (now !== before) [before, since, frames] = [now, performance.now(), -1]
      frames++
    }
  }, milliseconds)
}

/** A screenshot for people to look at; in CI, where nobody does, none: drawing it takes the processor a second. */
export async function picture(page, path) {
  if (process.env.CI !== 'true') await page.screenshot({ path })
}

/** Replace the graph by an empty one. */
export async function clear(page) {
  await page.evaluate(() => window.app.graph.clear())
}

/** Replace the graph by one node of a type, in view at full size. */
export async function placeAlone(page, type) {
  await page.evaluate((name) => {
    const { app, LiteGraph } = window
    app.graph.clear()
    const node = LiteGraph.createNode(name)
    node.pos = [120, 60]
    app.graph.add(node)
    app.canvas.ds.reset?.()
  }, type)
}

/** Replace the graph by the demo clip, small, through mesh and camera path to the renderer. */
export async function buildChain(page, width = 256) {
  await page.evaluate((width) => {
    const { app, LiteGraph } = window
    app.graph.clear()
    const add = (type, x, y) => {
      const node = LiteGraph.createNode(type)
      node.pos = [x, y]
      app.graph.add(node)
      return node
    }
    const clip = add('EX4DDemoClip', 0, 0)
    const mesh = add('EX4DBuildDWMesh', 340, 0)
    const path = add('EX4DCameraTrajectory', 700, 0)
    const render = add('EX4DRenderColorMask', 1520, 0)
    const set = (node, name, value) => {
      const widget = node.widgets.find((w) => w.name === name)
      if (widget) widget.value = value
    }
    set(clip, 'width', width)
    set(clip, 'height', 256)
    set(clip, 'frames', 9)
    const link = (from, type, to, input) => {
      const output = from.outputs.findIndex((o) => o.type === type)
      from.connect(
        output,
        to,
        to.inputs.findIndex((i) => i.name === input)
      )
    }
    link(clip, 'IMAGE', mesh, 'images')
    link(clip, 'EX4D_DEPTH', mesh, 'depth')
    link(mesh, 'EX4D_DWMESH', path, 'mesh')
    link(mesh, 'EX4D_DWMESH', render, 'mesh')
    link(path, 'EX4D_TRAJECTORY', render, 'trajectory')
  }, width)
  await pass(page, 300)
}

/** The camera node of the graph in view, as an expression of the page; undefined where there is none. */
export const CAMERA_NODE = "window.app.canvas.graph.nodes.find((node) => node.type === 'EX4DCameraTrajectory')"

/** Run a function of (editor, node, argument) in the page; it sees nothing else of this file's callers. */
export async function inEditor(page, work, argument = null) {
  const given = JSON.stringify(argument)
  return page.evaluate(
    `(async () => { const node = ${CAMERA_NODE}; return (${work})(node?.ex4dEditor, node, ${given}) })()`
  )
}

/** Wait until a function of (editor) is true in the page; it is not asked while there is no editor. */
export async function waitForEditor(page, test, timeout = PATIENCE) {
  await page.waitForFunction(
    `(() => { const editor = ${CAMERA_NODE}?.ex4dEditor; return !!editor && (${test})(editor) })()`,
    null,
    { timeout }
  )
}

/** The graph as it would be saved. */
export async function saved(page) {
  return page.evaluate(() => window.app.graph.serialize())
}

/** Every node of the graph in view: id, type, and its widgets by name. */
export async function widgets(page) {
  return page.evaluate(() =>
    window.app.graph.nodes.map((node) => ({
      id: node.id,
      type: node.type,
      // Newer frontends note an error also where a node's model file is missing.
      missing: !window.LiteGraph.registered_node_types[node.type],
      widgets: Object.fromEntries((node.widgets ?? []).map((widget) => [widget.name, widget.value]))
    }))
  )
}

/** Where each node stands, its title included: [left, top, width, height] by id. */
export async function boxes(page) {
  return page.evaluate(() =>
    Object.fromEntries(
      window.app.graph.nodes.map((node) => {
        const title = window.LiteGraph.NODE_TITLE_HEIGHT
        return [node.id, [node.pos[0], node.pos[1] - title, node.size[0], node.size[1] + title]]
      })
    )
  )
}

/**
 * How the graph is seen: pixels = (position + offset) * scale + origin; small: whether the frontend leaves text out.
 */
export async function view(page) {
  return page.evaluate(() => {
    const { ds, canvas, low_quality } = window.app.canvas
    const { left, top } = canvas.getBoundingClientRect()
    return { scale: ds.scale, offset: [...ds.offset], origin: [left, top], small: !!low_quality }
  })
}

/** The prompt that the frontend would queue. */
export async function prompt(page) {
  return page.evaluate(async () => (await window.app.graphToPrompt()).output)
}

/**
 * Open the template browser and click the card of one of a pack's example graphs.
 * @param {string[]} others graphs whose cards are looked for, too
 * @returns {Promise<string[]>} those that have a card
 */
export async function openTemplate(page, pack, name, others = []) {
  await page.evaluate(() => window.app.extensionManager.command.execute('Comfy.BrowseTemplates'))
  const dialogs = page.locator('.p-dialog, [role=dialog]')
  const dialog = dialogs.filter({ has: page.getByText(pack, { exact: true }) }).last()
  await dialog.waitFor({ timeout: PATIENCE })
  await dialog.getByText(pack, { exact: true }).first().click({ timeout: PATIENCE })
  const card = dialog.getByText(name, { exact: true }).first()
  const found = await scrollCards(page, dialog, [...new Set([name, ...others])], 1)
  if (!(await card.count())) await scrollCards(page, dialog, [name], -1)
  // A click during the dialog's own animations is lost now and then on a busy machine.
  for (let tries = 0; tries < 3 && (await dialog.isVisible()); tries++) {
    await card.click({ timeout: 10000 }).catch(() => {})
    await dialog.waitFor({ state: 'hidden', timeout: 15000 }).catch(() => {})
  }
  if (await dialog.isVisible()) throw new Error(`the template ${name} did not open`)
  await page.waitForFunction(() => window.app.graph.nodes.length && !window.app.configuringGraph)
  await still(page)
  return found
}

/**
 * Wheel over the template browser until it has shown the cards of all names, or no new one any more: it draws cards as they
 * come into view.
 * @returns {Promise<string[]>} the names that had a card
 */
async function scrollCards(page, dialog, names, direction) {
  const found = new Set()
  for (let idle = 0; idle < 20 && found.size < names.length; idle++) {
    const before = found.size
    for (const name of names) if (await dialog.getByText(name, { exact: true }).count()) found.add(name)
    if (found.size > before) idle = 0
    const { x, y, width, height } = await dialog.boundingBox()
    await page.mouse.move(x + width * 0.6, y + height * 0.7)
    await page.mouse.wheel(0, direction * 400)
    await page.waitForTimeout(300)
  }
  return [...found]
}

/** Open one of a pack's example graphs as the template browser does once its card is clicked. */
export async function loadTemplate(page, pack, name) {
  await page.evaluate(
    async ([pack, name]) => {
      const graph = await (await fetch(`/api/workflow_templates/${pack}/${encodeURIComponent(name)}.json`)).json()
      await window.app.loadGraphData(graph, true, true, name, { openSource: 'template' })
    },
    [pack, name]
  )
  await still(page)
}

/** Press Run and wait for the end; returns {status, error, shown}, shown being the ids of nodes that sent pictures. */
export async function run(page, timeout = 300000) {
  const ended = page.evaluate(
    (limit) =>
      new Promise((resolve) => {
        const shown = []
        const note = ({ detail }) => detail?.output?.images?.length && shown.push(String(detail.node))
        window.app.api.addEventListener('executed', note)
        const done = (status) => (event) => {
          window.app.api.removeEventListener('executed', note)
          resolve({ status, error: event.detail?.exception_message ?? null, shown })
        }
        for (const status of ['success', 'error', 'interrupted'])
          window.app.api.addEventListener(`execution_${status}`, done(status), { once: true })
        setTimeout(() => resolve({ status: 'timeout', error: null, shown }), limit)
      }),
    timeout
  )
  await page.evaluate(() => window.app.extensionManager.command.execute('Comfy.QueuePrompt'))
  const result = await ended
  await pass(page, 300)
  return result
}

/** Fit the whole graph into the window. */
export async function fit(page) {
  await page.evaluate(() => window.app.extensionManager.command.execute('Comfy.Canvas.FitView'))
  await still(page)
}

/** In the page: the videos and pictures that nodes show, by node id. */
function collect() {
  return Object.fromEntries(
    window.app.graph.nodes.map((node) => {
      const media = [...(node.imgs ?? []), ...(node.videoContainer?.querySelectorAll?.('video') ?? [])]
      const shown = media.map((item) => ({
        kind: item.tagName,
        width: item.videoWidth ?? item.naturalWidth ?? 0,
        height: item.videoHeight ?? item.naturalHeight ?? 0,
        ready: item.readyState ?? (item.complete ? 4 : 0),
        paused: item.paused ?? null,
        error: item.error?.message ?? null
      }))
      return [node.id, shown]
    })
  )
}

/**
 * What nodes show, at the first moment at which all of the given ones show something that is loaded and, if a film, plays:
 * what loops has no picture for an instant. Where that moment does not come, what they show at the end.
 */
export async function previews(page, ids, timeout = PATIENCE) {
  const complete = `(() => {
    const all = (${collect})()
    const plays = (item) => item.ready >= 2 && !item.paused
    return ${JSON.stringify(ids)}.every((id) => all[id]?.length && all[id].every(plays)) && all
  })()`
  const moment = await page.waitForFunction(complete, null, { timeout, polling: 50 }).catch(() => null)
  return moment ? moment.jsonValue() : page.evaluate(collect)
}
