// What the scene view says without a scene, and whether it leaves the path free, in nodes of several sizes and both
// themes: node notes.mjs URL FOLDER
import { join } from 'node:path'
import { PATIENCE, open, pass, placeAlone } from './comfy.mjs'

const [url, folder] = process.argv.slice(2)
const { browser, page, seen } = await open(url, {
  settings: { 'Comfy.VueNodes.Enabled': false },
  width: 1000,
  height: 900
})
/** The first is that of the example graphs with models, the second the lowest there is. */
const SIZES = [
  [690, 660],
  [690, 400],
  [480, 700],
  [760, 860]
]
const report = { seen, views: [] }
const setPalette = (name) =>
  page.evaluate((palette) => window.app.extensionManager.setting.set('Comfy.ColorPalette', palette), name)
try {
  for (const palette of ['dark', 'light']) {
    await setPalette(palette)
    for (const size of SIZES) {
      await placeAlone(page, 'EX4DCameraTrajectory')
      await page.evaluate((size) => {
        window.app.graph.nodes[0].setSize(size)
        window.app.canvas.setDirty(true, true)
      }, size)
      await page.waitForFunction(() => window.app.graph.nodes[0].ex4dEditor.element.clientWidth > 0, null, {
        timeout: PATIENCE
      })
      await pass(page, 400)
      const found = await page.evaluate(async () => {
        const [node] = window.app.graph.nodes
        const editor = node.ex4dEditor
        const { sceneView, state } = editor
        const unit = sceneView.surface.unit
        const outer = sceneView.element.getBoundingClientRect()
        const zoom = outer.width / sceneView.element.clientWidth
        const range = document.createRange()
        range.selectNodeContents(sceneView.note)
        const place = (box) => [
          (box.left - outer.left) / zoom,
          (box.top - outer.top) / zoom,
          (box.right - outer.left) / zoom,
          (box.bottom - outer.top) / zoom
        ]
        const note = place(range.getBoundingClientRect())
        const covered = {}
        const presets = node.widgets.find((widget) => widget.name === 'preset')
        for (const preset of [...presets.options.values]) {
          presets.value = preset
          presets.callback?.(preset)
          sceneView.home()
          const view = sceneView.view
          const eyes = state.path.poses.map((m) =>
            [0, 1, 2].map((i) => -(m[i] * m[3] + m[4 + i] * m[7] + m[8 + i] * m[11]))
          )
          const dots = eyes.map(([x, y, z]) => {
            const [a, b, c] = [0, 1, 2].map(
              (row) =>
                view.pose[4 * row] * x +
                view.pose[4 * row + 1] * y +
                view.pose[4 * row + 2] * z +
                view.pose[4 * row + 3]
            )
            return {
              x: (view.intrinsics.fx * a) / c + view.intrinsics.cx,
              y: (view.intrinsics.fy * b) / c + view.intrinsics.cy
            }
          })
          const points = [...dots, ...sceneView.spotList(view)].map((at) => [at.x / unit, at.y / unit])
          covered[preset] = points.filter(([x, y]) => x > note[0] && x < note[2] && y > note[1] && y < note[3]).length
        }
        presets.value = 'orbit'
        presets.callback?.('orbit')
        sceneView.home()
        for (let frame = 0; frame < 3; frame++) await new Promise(requestAnimationFrame)
        return {
          text: sceneView.note.textContent,
          note,
          view: [sceneView.element.clientWidth, sceneView.element.clientHeight],
          covered
        }
      })
      report.views.push({ palette, size, ...found })
      await page
        .locator('.ex4d-editor')
        .first()
        .screenshot({ path: join(folder, `note-${palette}-${size.join('x')}.png`) })
    }
  }
} finally {
  await setPalette('dark').catch(() => {})
  await browser.close()
}
console.log(JSON.stringify(report))
