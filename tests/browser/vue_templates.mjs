// node vue_templates.mjs URL PACK SCREENSHOTS NAMES APP: the example graphs in Vue nodes, which lay out their own contents,
// and the one that is an app. Prints one line of JSON: per graph the boxes of its nodes as they are drawn.

import { clear, loadTemplate, open, picture, still } from './comfy.mjs'

const [url, pack, screenshots, list, app] = process.argv.slice(2)
const { browser, page, seen } = await open(url, {
  settings: { 'Comfy.VueNodes.Enabled': true },
  width: 1720,
  height: 1000
})
const report = { graphs: {}, seen }

/** Each node as drawn, in pixels of the graph, and the least height of its fields of text. */
const drawn = () =>
  page.evaluate(() => {
    const { ds, canvas } = window.app.canvas
    const origin = canvas.getBoundingClientRect()
    return window.app.graph.nodes.map((node) => {
      const element = document.querySelector(`[data-node-id="${node.id}"]`)
      if (!element) return { id: node.id, type: node.type, box: null }
      const { left, top, width, height } = element.getBoundingClientRect()
      const texts = [...element.querySelectorAll('textarea')].filter((field) => !field.closest('.ex4d-editor'))
      return {
        id: node.id,
        type: node.type,
        box: [
          (left - origin.left) / ds.scale - ds.offset[0],
          (top - origin.top) / ds.scale - ds.offset[1],
          width / ds.scale,
          height / ds.scale
        ],
        texts: texts.map((field) => field.getBoundingClientRect().height / ds.scale)
      }
    })
  })

try {
  for (const name of JSON.parse(list)) {
    await loadTemplate(page, pack, name)
    report.graphs[name] = {
      nodes: await drawn(),
      groups: await page.evaluate(() =>
        window.app.graph.groups.map((group) => ({ title: group.title, box: [...group.pos, ...group.size] }))
      )
    }
    await picture(page, `${screenshots}/vue-${name}.png`)
    await clear(page)
  }
  await loadTemplate(page, pack, app)
  await page.waitForFunction(() => document.querySelector('.ex4d-editor')?.clientHeight > 400).catch(() => {})
  await still(page)
  report.app = await page.evaluate(() => ({
    canvas: getComputedStyle(document.querySelector('#graph-canvas')).visibility,
    editor: (({ width, height }) => [width, height])(
      document.querySelector('.ex4d-editor')?.getBoundingClientRect() ?? { width: 0, height: 0 }
    ),
    overhang: (({ scrollWidth, clientWidth, scrollHeight, clientHeight }) => [
      scrollWidth - clientWidth,
      scrollHeight - clientHeight
    ])(document.querySelector('.ex4d-editor')),
    linear: window.app.graph.extra.linearData,
    text: document.body.innerText
  }))
  await picture(page, `${screenshots}/vue-${app}, app.png`)
} finally {
  await browser.close()
}
console.log(JSON.stringify(report))
