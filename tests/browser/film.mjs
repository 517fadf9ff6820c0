// node film.mjs URL PACK FOLDER: the camera editor at work in a real ComfyUI, a picture a moment, for `python dev.py film`.
// The machine may be slow, so every moment is waited for: what the film shows is drawn in full, at the film's own speed.

import { join } from 'node:path'
import { inEditor, loadTemplate, open, run, waitForEditor } from './comfy.mjs'

const [url, pack, folder] = process.argv.slice(2)
const WINDOW = { width: 1200, height: 900 }
/** Where the node stands in the window. */
const NODE = { left: 70, top: 40, width: 1060, height: 840 }
/** Milliseconds that a picture takes to be drawn; the editor is told to draw it in full while something moves. */
const REST = 60

const { browser, page } = await open(url, {
  ...WINDOW,
  settings: { 'Comfy.Locale': 'en', 'Comfy.VueNodes.Enabled': false, 'EX4D.Editor.Pace': 'fine' }
})
let count = 0
let region

/** A pointer, which pictures of a page without a screen lack. */
async function addPointer() {
  await page.evaluate(() => {
    const pointer = document.createElement('div')
    pointer.style.cssText = 'position:fixed;z-index:99999;pointer-events:none;width:22px;height:22px;left:-50px;top:0'
    pointer.innerHTML =
      '<svg viewBox="0 0 16 16"><path d="M2 1v12l3.2-3 2 4.6 2-.9-2-4.5H12z" fill="#fff" stroke="#000" stroke-width=".9"/></svg>'
    document.body.append(pointer)
    addEventListener(
      'pointermove',
      ({ clientX, clientY }) => Object.assign(pointer.style, { left: `${clientX}px`, top: `${clientY}px` }),
      true
    )
  })
}

async function take(times = 1) {
  await page.waitForTimeout(REST)
  for (let i = 0; i < times; i++)
    await page.screenshot({ path: join(folder, `${String(count++).padStart(3, '0')}.png`), clip: region })
}

/** Drag from a place by (dx, dy) in as many pictures. */
async function drag(from, [dx, dy], pictures) {
  await page.mouse.move(from.x, from.y)
  await take(2)
  await page.mouse.down()
  for (let i = 1; i <= pictures; i++) {
    // Slow at both ends, as a hand is.
    const part = (1 - Math.cos((Math.PI * i) / pictures)) / 2
    await page.mouse.move(from.x + dx * part, from.y + dy * part)
    await take()
  }
  await page.mouse.up()
  await take()
}

const middle = async (selector) => {
  const box = await page.locator(selector).first().boundingBox()
  return { x: box.x + box.width / 2, y: box.y + box.height / 2, box }
}

try {
  await loadTemplate(page, pack, 'Re-shoot geometry only')
  const { status, error } = await run(page, 300000)
  if (status !== 'success') throw new Error(`the graph did not run: ${status} ${error}`)
  await waitForEditor(page, ({ clip, loader }) => clip && clip.loaded === clip.header.frames && !loader.note)
  await inEditor(
    page,
    (editor, node, place) => {
      const { canvas, graph } = window.app
      // The others' films would lie over it.
      for (const other of graph.nodes) if (other !== node) other.pos[0] += 4000 * (other.pos[0] < node.pos[0] ? -1 : 1)
      node.setSize([place.width, place.height])
      canvas.ds.scale = 1
      canvas.ds.offset[0] = place.left - node.pos[0]
      canvas.ds.offset[1] = place.top - node.pos[1]
      canvas.setDirty(true, true)
    },
    NODE
  )
  await page.waitForTimeout(1500)
  await addPointer()
  const { box } = await middle('.ex4d-editor')
  const edge = 4
  const [left, top] = [Math.max(0, Math.floor(box.x) - edge), Math.max(0, Math.floor(box.y) - edge)]
  region = {
    x: left,
    y: top,
    width: Math.min(WINDOW.width, Math.ceil(box.x + box.width) + edge) - left,
    height: Math.min(WINDOW.height, Math.ceil(box.y + box.height) + edge) - top
  }
  const last = await inEditor(page, (editor) => editor.state.document.frames - 1)
  // From the source view: the playhead to the end, then the shot is dragged around.
  const time = await middle('.ex4d-time canvas')
  await page.mouse.move(time.box.x + 14, time.box.y + 8)
  await inEditor(page, (editor) => editor.state.goTo(0))
  await take(2)
  await page.mouse.down()
  for (let i = 1; i <= 8; i++) {
    await page.mouse.move(time.box.x + 14 + ((time.box.width - 28) * i) / 8, time.box.y + 8)
    await take()
  }
  await page.mouse.up()
  await inEditor(page, (editor, node, frame) => editor.state.goTo(frame), last)
  const shot = await middle('.ex4d-shot canvas')
  await drag({ x: shot.x + 90, y: shot.y }, [-230, 20], 13)
  await drag({ x: shot.x - 60, y: shot.y }, [190, 90], 11)
  // The way there, as it has become.
  await page.mouse.move(shot.x + 40, shot.box.y + shot.box.height + 24)
  for (let frame = 0; frame <= last; frame += 4) {
    await inEditor(page, (editor, node, at) => editor.state.goTo(at), frame)
    await take()
  }
  await take(3)
  console.log(JSON.stringify({ pictures: count, region }))
} finally {
  await browser.close()
}
