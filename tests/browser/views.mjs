// What the shot view draws of given previews along given paths, without a run: node views.mjs URL FOLDER {FILE: PATH, ...}
// MEMORY as JSON; MEMORY is the file that fills the holes of the last one. Pictures for people go into the folder.
import { join } from 'node:path'
import { open, picture } from './comfy.mjs'

const [url, folder, files, memory] = process.argv.slice(2)
const { browser, page, seen } = await open(url, {
  settings: { 'Comfy.VueNodes.Enabled': false },
  width: 1300,
  height: 1000
})
/** Per file: {step, "points" or "larger points": [mask of each frame, as 0 and 1 in base64]}; milliseconds a picture. */
const report = { seen, masks: {}, paces: {}, points: false, filled: null }
try {
  await page.evaluate(async () => {
    const { app, LiteGraph } = window
    app.graph.clear()
    const node = LiteGraph.createNode('EX4DCameraTrajectory')
    app.graph.add(node)
    await new Promise((done) => setTimeout(done, 800))
    window.editor = node.ex4dEditor
  })
  for (const [filename, path] of Object.entries(JSON.parse(files))) {
    report.masks[filename] = await page.evaluate(
      async ([filename, path]) => {
        const { editor } = window
        await editor.loader.load({ filename, subfolder: 'ex4d_preview', type: 'temp' })
        editor.host.write(JSON.stringify(path))
        editor.refresh()
        const { clip, renderer, scene, state } = editor
        const { width, height } = clip.header
        const found = {}
        for (const [name, step, points, larger] of [
          ['1', 1, false, 1],
          ['2', 2, false, 1],
          ['points', 1, true, 1],
          ['larger points', 1, true, 2.5] // pixels then lie in the middles of quads
        ]) {
          found[name] = state.path.poses.slice(0, larger === 1 ? undefined : 1).map((pose, frame) => {
            state.goTo(frame)
            const size = { width: larger * width, height: larger * height }
            const camera = scene.meshCamera(editor.shotView.cameraAt(size.width, size.height))
            const pixels = renderer.read({
              clip,
              index: scene.index,
              camera,
              ...size,
              mode: 'mask',
              points,
              step
            })
            let text = ''
            for (let i = 0; i < pixels.length; i += 4) text += String.fromCharCode(+(pixels[i] > 127))
            return btoa(text)
          })
        }
        return found
      },
      [filename, path]
    )
  }
  report.paces = await page.evaluate(() => {
    const { clip, renderer, shotView } = window.editor
    const [width, height] = [640, 480]
    const camera = shotView.cameraAt(width, height)
    const pace = (points) => {
      const begin = performance.now()
      for (let i = 0; i < 12; i++) renderer.read({ clip, index: 0, camera, width, height, mode: 'scene', points })
      return (performance.now() - begin) / 12
    }
    pace(false)
    pace(true)
    return { faces: pace(false), points: pace(true) }
  })
  // Holes filled with what other frames saw: masks, colours, the time of a picture with and without, the key.
  report.filled = await page.evaluate(async (filename) => {
    const { editor } = window
    const shown = () => editor.shotView.memory.style.display !== 'none'
    const before = shown()
    await editor.loader.remember({ filename, subfolder: 'ex4d_preview', type: 'temp' })
    const { clip, renderer, scene, state, modes } = editor
    const { width, height } = clip.header
    const found = { offered: [before, shown()], masks: [], colours: [], holes: [], paces: {} }
    const text = (bytes) => {
      let all = ''
      for (const byte of bytes) all += String.fromCharCode(byte)
      return btoa(all)
    }
    for (let frame = 0; frame < state.path.poses.length; frame++) {
      state.goTo(frame)
      found.masks.push(text(editor.shotPixels(width, height, 'mask').filter((_, i) => i % 4 === 0)))
      found.colours.push(text(editor.shotPixels(width, height, 'colour').filter((_, i) => i % 4 !== 3)))
      found.holes.push(await renderer.holeShare(clip, scene.index, scene.meshCamera(state.camera()), true))
    }
    for (const [name, step, memory] of [
      ['without', 1, false],
      ['with', 1, true],
      ['moving slowly, with', 2, true]
    ]) {
      const camera = scene.meshCamera(editor.shotView.cameraAt(640, 480))
      const draw = () =>
        renderer.read({ clip, index: scene.index, camera, width: 640, height: 480, mode: 'checker', step, memory })
      draw()
      const begin = performance.now()
      for (let i = 0; i < 3; i++) draw()
      found.paces[name] = (performance.now() - begin) / 3
    }
    editor.page.focus()
    await new Promise((done) => setTimeout(done, 300))
    return { ...found, memory: modes.memory }
  }, memory)
  await picture(page, join(folder, 'memory.png'))
  await page.keyboard.press('4')
  report.filled.off = await page.evaluate(() => !window.editor.modes.memory)
  // The key, and what it looks like.
  await page.evaluate(() => {
    const { editor } = window
    editor.state.goTo(1)
    editor.page.focus()
  })
  await page.keyboard.press('o')
  await page.waitForTimeout(700)
  report.points = await page.evaluate(() => window.editor.modes.points)
  await picture(page, join(folder, 'points.png'))
} finally {
  await browser.close()
}
console.log(JSON.stringify(report))
