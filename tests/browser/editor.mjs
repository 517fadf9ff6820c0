// The camera editor in a real frontend: run to the mesh, drag, save, reload, run, and hand pictures out for comparison.
// node editor.mjs URL FOLDER [vue]
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as comfy from './comfy.mjs'
import { buildChain, fit, open, pass, picture, ready, run } from './comfy.mjs'

const [url, folder, renderer = 'litegraph'] = process.argv.slice(2)
const vue = renderer === 'vue'
const { browser, page, seen } = await open(url, {
  settings: { 'Comfy.VueNodes.Enabled': vue },
  width: 1500,
  height: 1100
})
const report = { seen, renderer }
const shoot = (name) => picture(page, join(folder, `editor-${renderer}-${name}.png`))
const inEditor = (work, argument) => comfy.inEditor(page, work, argument)
const settled = () =>
  comfy.waitForEditor(page, ({ clip, loader }) => clip && clip.loaded === clip.header.frames && !loader.note)
const box = async (selector) => await page.locator(selector).first().boundingBox()

try {
  await buildChain(page)
  await fit(page)
  report.before = await inEditor((editor) => ({
    note: editor.sceneNote,
    frames: editor.state.document.frames,
    text: editor.host.read()
  }))
  // From the server's word that the node has ended to the first picture.
  await inEditor((editor, node) => {
    const adopt = editor.adopt.bind(editor)
    window.app.api.addEventListener('executed', ({ detail }) => {
      if (String(detail.node) !== String(node.id)) return
      window.ended ??= performance.now()
      window.made ??= detail.output?.ex4d_path?.[0]
    })
    editor.adopt = (clip) => {
      adopt(clip)
      requestAnimationFrame(() =>
        requestAnimationFrame(() => {
          window.pictured ??= performance.now()
        })
      )
    }
  })
  report.firstRun = await run(page)
  await settled()
  report.firstPicture = await page.evaluate(() => Math.round(window.pictured - window.ended))
  report.scene = await inEditor((editor, node) => ({
    radius: editor.state.scene.radius,
    frames: editor.state.document.frames,
    header: editor.clip.header,
    kept: node.properties.ex4d_preview
  }))
  report.preset = {
    python: await page.evaluate(() => window.made),
    editor: await inEditor((editor) => JSON.stringify(editor.state.document))
  }
  await shoot('1-scene')

  const time = await box('.ex4d-time canvas')
  await page.mouse.click(time.x + time.width / 2, time.y + 8)
  report.playhead = await inEditor((editor) => editor.state.frame)
  const before = await inEditor((editor) => ({
    text: editor.host.read(),
    eye: editor.inspector.fields.slice(0, 3).map((f) => f.options.get()),
    pixels: Array.from(editor.shotPixels(32, 32, 'colour'))
  }))
  const shot = await box('.ex4d-shot canvas')
  await page.mouse.move(shot.x + shot.width / 2, shot.y + shot.height / 2)
  await page.mouse.down()
  await inEditor((editor) => {
    editor.pace.intervals = []
    editor.tally = []
    const draw = editor.shotView.draw.bind(editor.shotView)
    editor.shotView.draw = () => {
      editor.tally.push(performance.now())
      draw()
    }
  })
  for (let i = 1; i <= 30; i++) {
    await page.mouse.move(shot.x + shot.width / 2 - i * 3, shot.y + shot.height / 2 + i)
    await page.waitForTimeout(15)
  }
  report.drag = await inEditor((editor) => {
    const t = editor.tally
    return { draws: t.length, seconds: (t[t.length - 1] - t[0]) / 1000, step: editor.pace.step }
  })
  await page.mouse.up()
  await pass(page, 300)
  const after = await inEditor((editor) => ({
    text: editor.host.read(),
    eye: editor.inspector.fields.slice(0, 3).map((f) => f.options.get()),
    pixels: Array.from(editor.shotPixels(32, 32, 'colour')),
    past: editor.state.past.length
  }))
  report.gesture = {
    changedText: before.text !== after.text,
    angleBefore: before.eye[0],
    angleAfter: after.eye[0],
    distanceBefore: before.eye[2],
    distanceAfter: after.eye[2],
    changedPixels: before.pixels.filter((v, i) => Math.abs(v - after.pixels[i]) > 8).length,
    undoSteps: after.past
  }

  // Keys by keyboard, with the editor over the whole window; frame by arrow; undo and redo leave the graph alone.
  await inEditor((editor) => editor.page.setLarge(true))
  await pass(page, 300)
  const nodes = await page.evaluate(() => window.app.graph.nodes.length)
  await page.keyboard.press('Home')
  for (let i = 0; i < 2; i++) await page.keyboard.press('ArrowRight')
  await page.keyboard.press('k')
  report.keys = await inEditor((editor) => editor.state.document.keyframes.map((key) => key.frame))
  await page.keyboard.press('Control+z')
  report.undone = await inEditor((editor) => editor.state.document.keyframes.map((key) => key.frame))
  await page.keyboard.press('Control+Shift+z')
  report.redone = await inEditor((editor) => editor.state.document.keyframes.map((key) => key.frame))
  report.nodesKept = (await page.evaluate(() => window.app.graph.nodes.length)) === nodes
  await page.keyboard.press('End')
  await shoot('2-large')
  await inEditor((editor) => editor.page.setLarge(false))
  await pass(page, 500)
  await shoot('3-edited')

  // API export, save, reload.
  report.path = await inEditor((editor) => editor.host.read())
  const prompt = await page.evaluate(async () => (await window.app.graphToPrompt()).output)
  const sent = Object.values(prompt).find((node) => node.class_type === 'EX4DCameraTrajectory')
  report.prompt = { path: sent.inputs.path, names: Object.keys(sent.inputs) }
  const workflow = await page.evaluate(() => JSON.stringify(window.app.graph.serialize()))
  report.saved = JSON.parse(workflow).nodes.find((node) => node.type === 'EX4DCameraTrajectory').widgets_values
  await page.reload({ waitUntil: 'domcontentloaded' })
  await ready(page)
  await page.evaluate((text) => window.app.loadGraphData(JSON.parse(text)), workflow)
  await settled()
  report.reloaded = await inEditor((editor, node) => ({
    path: editor.host.read(),
    keys: editor.state.document.keyframes.map((key) => key.frame)
  }))
  report.secondRun = await run(page)
  await settled()

  // The shot at the preview's size, frame by frame, for the comparison with the renderer.
  const header = report.scene.header
  report.pictures = []
  for (let frame = 0; frame < header.frames; frame++) {
    for (const mode of ['colour', 'mask']) {
      const data = await inEditor(
        (editor, node, at) => {
          editor.state.goTo(at.frame)
          const p = editor.shotPixels(at.width, at.height, at.mode)
          let s = ''
          for (let i = 0; i < p.length; i += 8192) s += String.fromCharCode(...p.subarray(i, i + 8192))
          return btoa(s)
        },
        { frame, mode, width: header.width, height: header.height }
      )
      writeFileSync(join(folder, `editor-${renderer}-${mode}-${frame}.rgba`), Buffer.from(data, 'base64'))
    }
    report.pictures.push(frame)
  }

  // A lens in millimetres: full frame, then the same lens and the same number on another film back, then the clip's own.
  report.lens = await inEditor(async (editor) => {
    const { state, inspector } = editor
    const field = inspector.fields.find((each) => each.options.label === 'mm')
    const put = (element, value) => {
      element.value = value
      element.dispatchEvent(new Event('change'))
    }
    const typed = (text) => {
      put(field.input, text)
      return state.document.keyframes.find((key) => key.frame === state.frame).fov
    }
    state.goTo(state.document.keyframes[0].frame)
    const fullFrame = typed('50')
    put(inspector.filmBack, 'super 35 24.89x18.66')
    await new Promise((done) => setTimeout(done, 300))
    const shown = field.input.value
    return { fullFrame, shown, super35: typed('50'), emptied: typed('') }
  })

  // Bad text in the widget, a copy of the node, and its removal.
  report.foreign = await inEditor((editor, node) => {
    const widget = node.widgets.find((w) => w.name === 'path')
    const good = widget.value
    widget.value = '{"nodes": []}'
    widget.callback?.(widget.value)
    const problem = editor.state.problem
    const kept = widget.value
    widget.value = good
    widget.callback?.(good)
    return { problem, kept, healed: editor.state.problem === null }
  })
  report.copy = await inEditor((editor, node) => {
    const { app } = window
    const twin = node.clone()
    twin.pos = [node.pos[0], node.pos[1] + 900]
    app.graph.add(twin)
    const same = twin.widgets.find((w) => w.name === 'path').value === node.widgets.find((w) => w.name === 'path').value
    const two = twin.ex4dEditor && twin.ex4dEditor !== editor && twin.ex4dEditor.renderer === editor.renderer
    const other = twin.ex4dEditor
    app.graph.remove(twin)
    return { same, two, disposed: other.disposed, alive: !editor.disposed }
  })
  // A lost context comes back with the picture.
  report.context = await inEditor(async (editor) => {
    const lose = editor.renderer.gl.getExtension('WEBGL_lose_context')
    const sum = () => editor.shotPixels(32, 32, 'colour').reduce((a, b) => a + b, 0)
    editor.state.goTo(1)
    const before = sum()
    lose.loseContext()
    await new Promise((done) => setTimeout(done, 300))
    const told = editor.sceneNote
    lose.restoreContext()
    await new Promise((done) => setTimeout(done, 600))
    return { before, after: sum(), told }
  })
  // A preview that is gone.
  report.gone = await inEditor(async (editor) => {
    await editor.loader.load({ filename: 'nothing.ex4d', subfolder: 'ex4d_preview', type: 'temp' })
    return editor.loader.note
  })
} finally {
  await browser.close()
}
console.log(JSON.stringify(report))
