// node templates.mjs URL PACK SCREENSHOTS RUNNING OPENED OFFERED SMALL: opens example graphs, the first from the template
// browser, runs the first list's with small clips, and opens the last list's in a small window, too; all are JSON lists of
// names. Prints one line of JSON: the cards of the template browser, what the panel of missing models offers for the third
// list's graphs, and per graph its widgets, boxes, views and prompt as loaded, the dialog of missing models, and for those
// that ran the end, and the previews, boxes and prompt then.

import {
  boxes,
  clear,
  loadTemplate,
  open,
  openTemplate,
  picture,
  previews,
  prompt,
  run,
  view,
  widgets
} from './comfy.mjs'
import { closeDialog, openPanel } from './models.mjs'

const [url, pack, screenshots, ...lists] = process.argv.slice(2)
const [running, opened, offered, looked] = lists.map((list) => JSON.parse(list))
const WINDOW = { width: 1720, height: 1000 }
const SMALL_WINDOW = { width: 1280, height: 800 }
const SMALL = { frames: 9, height: 128 }

/**
 * Bring the demo clip, and a path with keyframes, to a size that a test can wait for. Each graph gets a width of its
 * own: nodes that are taken from the cache show nothing.
 */
async function shorten(page, width) {
  await page.evaluate(
    (small) => {
      for (const node of window.app.graph.nodes) {
        const set = (name, value) => {
          const widget = node.widgets?.find((candidate) => candidate.name === name)
          if (!widget) return
          widget.value = value
          widget.callback?.(value)
        }
        if (node.type === 'EX4DDemoClip') for (const [name, value] of Object.entries(small)) set(name, value)
        const path = node.type === 'EX4DCameraTrajectory' && node.widgets.find((widget) => widget.name === 'path')
        if (path && path.value) {
          const document = JSON.parse(path.value)
          const scale = (small.frames - 1) / (document.frames - 1)
          for (const key of document.keyframes) key.frame = Math.round(key.frame * scale)
          set('path', JSON.stringify({ ...document, frames: small.frames }))
        }
      }
    },
    { ...SMALL, width }
  )
}

/** Those of the ids that are nodes of the pack in the graph in view; what is inside of a subgraph shows nothing there. */
async function ours(page, ids) {
  return page.evaluate((ids) => {
    const nodes = window.app.graph.nodes.filter((node) => node.type.startsWith('EX4D'))
    return ids.filter((id) => nodes.some((node) => String(node.id) === id))
  }, ids)
}

/** Open every graph in a small window: the frontends lay out their bars by the size that a page is loaded with. */
async function lookSmall() {
  if (!looked.length) return {}
  const { browser, page } = await open(url, SMALL_WINDOW)
  const views = {}
  try {
    for (const name of looked) {
      await loadTemplate(page, pack, name)
      await closeDialog(page)
      views[name] = { ...SMALL_WINDOW, ...(await view(page)) }
      await picture(page, `${screenshots}/${name}, small window.png`)
    }
  } finally {
    await browser.close()
  }
  return views
}

const small = await lookSmall()
const { browser, page, seen } = await open(url, WINDOW)
const report = {}
let cards = []
const panels = {}
try {
  for (const name of [...running, ...opened]) {
    if (name === running[0]) cards = await openTemplate(page, pack, name, [...running, ...opened])
    else await loadTemplate(page, pack, name)
    const dialog = await closeDialog(page)
    const loaded = { dialog, widgets: await widgets(page), prompt: await prompt(page), boxes: await boxes(page) }
    loaded.views = [...(small[name] ? [small[name]] : []), { ...WINDOW, ...(await view(page)) }]
    await picture(page, `${screenshots}/${name}.png`)
    if (!running.includes(name)) {
      report[name] = loaded
      await clear(page)
      continue
    }
    await shorten(page, 128 + 16 * running.indexOf(name))
    const sent = await prompt(page)
    const { shown, ...result } = await run(page)
    const playing = await previews(page, await ours(page, shown))
    await picture(page, `${screenshots}/${name}, after Run.png`)
    report[name] = {
      ...loaded,
      sent,
      result,
      previews: playing,
      grown: await boxes(page),
      again: await prompt(page)
    }
    await clear(page)
  }
  // At the end: an open panel takes room from the graph.
  for (const name of offered) {
    await loadTemplate(page, pack, name)
    panels[name] = await openPanel(page)
    await picture(page, `${screenshots}/${name}, models.png`)
    if (!panels[name]) await closeDialog(page)
  }
} finally {
  await browser.close()
}
console.log(JSON.stringify({ graphs: report, cards, panels, seen }))
