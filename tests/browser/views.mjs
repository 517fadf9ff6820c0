// What the shot view draws of given previews along given paths, without a run: node views.mjs URL {FILE: PATH, ...} as JSON
import { open } from './comfy.mjs'

const [url, files] = process.argv.slice(2)
const { browser, page, seen } = await open(url, {
  settings: { 'Comfy.VueNodes.Enabled': false },
  width: 1300,
  height: 1000
})
/** Per file: {step: [mask of each frame, as 0 and 1 in base64]}. */
const report = { seen, masks: {} }
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
        for (const step of [1, 2]) {
          found[step] = state.path.poses.map((pose, frame) => {
            state.goTo(frame)
            const camera = scene.meshCamera(editor.shotView.cameraAt(width, height))
            const pixels = renderer.read({
              clip,
              index: scene.index,
              camera,
              width,
              height,
              mode: 'mask',
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
} finally {
  await browser.close()
}
console.log(JSON.stringify(report))
