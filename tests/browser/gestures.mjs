// Ends of drags, pen and touch, hidden nodes and many editors, in a real frontend without a run: node gestures.mjs URL
import * as comfy from './comfy.mjs'
import { CAMERA_NODE as NODE, open, pass, placeAlone } from './comfy.mjs'

const [url] = process.argv.slice(2)
const { browser, page, seen } = await open(url, {
  settings: { 'Comfy.VueNodes.Enabled': false },
  width: 1300,
  height: 1000
})
const report = { seen }
const inEditor = (work, argument) => comfy.inEditor(page, work, argument)
const text = () => inEditor((editor) => editor.host.read())
/** Longer than the editor lets a drag wait before it writes its path. */
const rest = () => pass(page, 250)
const middle = async (selector) => {
  const box = await page.locator(selector).first().boundingBox()
  return [box.x + box.width / 2, box.y + box.height / 2]
}
/** Headless Chromium hides no page: its event, and that nothing is drawn meanwhile, are made here. */
const hide = (on) =>
  page.evaluate((on) => {
    for (const [name, value] of [
      ['hidden', on],
      ['visibilityState', on ? 'hidden' : 'visible']
    ])
      Object.defineProperty(document, name, { configurable: true, get: () => value })
    if (on) {
      window.hiddenPage = { real: window.requestAnimationFrame, waiting: [] }
      window.requestAnimationFrame = (act) => window.hiddenPage.waiting.push(act)
    } else {
      window.requestAnimationFrame = window.hiddenPage.real
      for (const act of window.hiddenPage.waiting) requestAnimationFrame(act)
    }
    document.dispatchEvent(new Event('visibilitychange'))
  }, on)
/** Whether a silent film of the page plays, and whether shadows are left out. */
const others = () =>
  page.evaluate(() => ({
    plays: document.querySelector('#film').playbackRate === 1,
    shadows: !document.documentElement.classList.contains('ex4d-hurry')
  }))
/** Presses in the shot view and moves a way. */
const press = async (steps = 6) => {
  const [x, y] = await middle('.ex4d-shot canvas')
  await page.mouse.move(x, y)
  await page.mouse.down()
  for (let i = 1; i <= steps; i++) await page.mouse.move(x - 8 * i, y)
}
/** Whether moves still change the path, and whether the editor believes in a pointer that is down. */
const after = async () => {
  await rest()
  const before = await text()
  const [x, y] = await middle('.ex4d-shot canvas')
  for (let i = 1; i <= 4; i++) await page.mouse.move(x + 9 * i, y + 5)
  await rest()
  return { still: (await text()) !== before, held: await inEditor((editor) => editor.state.held) }
}

try {
  await placeAlone(page, 'EX4DCameraTrajectory')
  await comfy.waitForEditor(page, (editor) => editor.element.clientWidth > 0)
  await pass(page, 400)
  await inEditor((editor) => editor.state.goTo(24))

  // A film as far as it is asked: one that plays would have to be served.
  await page.evaluate(() => {
    const film = Object.assign(document.createElement('video'), { id: 'film', muted: true })
    for (const [name, value] of Object.entries({ paused: false, playbackRate: 1 }))
      Object.defineProperty(film, name, { value, writable: true })
    document.body.append(film)
  })

  const start = await text()
  await press()
  await page.keyboard.press('Escape')
  report.escape = {
    ...(await after()),
    restored:
      JSON.parse((await text()) || 'null')?.source === JSON.parse(start || 'null')?.source ||
      (await inEditor((editor) => !!editor.state.document.source))
  }
  await page.mouse.up()

  // Where the processor draws, the rest of the page stands back until a drag is over.
  const before = await others()
  await press()
  await pass(page, 0)
  const during = await others()
  await page.evaluate(() => window.dispatchEvent(new Event('blur')))
  report.blur = { ...(await after()), changed: (await text()) !== start }
  report.spared = { before, during, after: await others() }
  await page.mouse.up()

  await press()
  await page.evaluate(() => {
    const canvas = document.querySelector('.ex4d-shot canvas')
    for (let id = 0; id < 64; id++) if (canvas.hasPointerCapture(id)) canvas.releasePointerCapture(id)
  })
  // The capture is taken away with the next event of the pointer.
  const [mx, my] = await middle('.ex4d-shot canvas')
  await page.mouse.move(mx, my + 40)
  report.lost = await after()
  await page.mouse.up()

  // Fingers and pen, as the browser's own input.
  const cdp = await page.context().newCDPSession(page)
  const [sx, sy] = await middle('.ex4d-scene canvas')
  const touch = (type, points) =>
    cdp.send('Input.dispatchTouchEvent', { type, touchPoints: points.map(([x, y], id) => ({ x, y, id })) })
  const view = () =>
    inEditor((editor) => ({
      reach: editor.sceneView.reach,
      yaw: editor.sceneView.yaw,
      centre: [...editor.sceneView.centre]
    }))
  const still = await view()
  await touch('touchStart', [[sx + 60, sy + 90]])
  for (let i = 1; i <= 5; i++) await touch('touchMove', [[sx + 60 + 8 * i, sy + 90]])
  await touch('touchEnd', [])
  const turned = await view()
  await touch('touchStart', [[sx - 40, sy + 90]])
  await touch('touchStart', [
    [sx - 40, sy + 90],
    [sx + 40, sy + 90]
  ])
  for (let i = 1; i <= 8; i++)
    await touch('touchMove', [
      [sx - 40 - 4 * i, sy + 90],
      [sx + 40 + 4 * i, sy + 90]
    ])
  await touch('touchEnd', [])
  const spread = await view()
  report.touch = {
    turned: turned.yaw !== still.yaw,
    nearer: turned.reach / spread.reach,
    yawKept: turned.yaw === spread.yaw,
    held: await inEditor((editor) => editor.state.held)
  }

  // The same two fingers in the shot view bring the camera closer to its pivot, in one step.
  const camera = () =>
    inEditor((editor) => {
      const { position } = editor.state.document.keyframes.find((key) => key.frame === 24) ?? {
        position: [NaN, NaN, NaN]
      }
      return {
        away: Math.hypot(...position.map((v, i) => v - editor.state.document.pivot[i])),
        steps: editor.state.past.length,
        held: editor.state.held
      }
    })
  const [hx, hy] = await middle('.ex4d-shot canvas')
  await inEditor((editor) => {
    editor.commands.nudge(1, 0)
    editor.state.settle()
  })
  const far = await camera()
  await touch('touchStart', [[hx - 40, hy]])
  await touch('touchStart', [
    [hx - 40, hy],
    [hx + 40, hy]
  ])
  for (let i = 1; i <= 8; i++)
    await touch('touchMove', [
      [hx - 40 - 4 * i, hy],
      [hx + 40 + 4 * i, hy]
    ])
  await touch('touchEnd', [])
  const near = await camera()
  report.pinch = { nearer: far.away / near.away, steps: near.steps - far.steps, held: near.held }

  // The browser takes the finger away in the middle of a drag, as for a gesture of its own.
  const uncancelled = await text()
  await touch('touchStart', [[hx, hy]])
  for (let i = 1; i <= 4; i++) await touch('touchMove', [[hx + 9 * i, hy]])
  const heldBefore = await inEditor((editor) => editor.state.held)
  await touch('touchCancel', [])
  report.cancel = { heldBefore, ...(await after()), changed: (await text()) !== uncancelled }

  const [px, py] = await middle('.ex4d-shot canvas')
  const beforePen = await text()
  const pen = (type, x, extra = {}) =>
    cdp.send('Input.dispatchMouseEvent', {
      type,
      x,
      y: py,
      button: type === 'mouseMoved' ? 'left' : 'left',
      buttons: type === 'mouseReleased' ? 0 : 1,
      clickCount: 1,
      pointerType: 'pen',
      ...extra
    })
  await pen('mousePressed', px)
  for (let i = 1; i <= 6; i++) await pen('mouseMoved', px + 7 * i)
  await pen('mouseReleased', px + 42)
  await rest()
  report.pen = { changed: (await text()) !== beforePen, held: await inEditor((editor) => editor.state.held) }

  // Playing draws nothing in a collapsed node, and goes on when it is open again.
  const drawn = () =>
    page
      .waitForFunction(`(() => { const view = ${NODE}.ex4dEditor.shotView; return view.counted > 0 })()`, null, {
        timeout: comfy.PATIENCE
      })
      .then(
        () => true,
        () => false
      )
  const count = () =>
    inEditor((editor) => {
      const view = editor.shotView
      view.counted = 0
      view.draw = () => {
        view.counted++
        Object.getPrototypeOf(view).draw.call(view)
      }
    })
  await inEditor((editor) => editor.playback.play())
  await count()
  report.playing = { open: await drawn() }
  await inEditor((editor, node) => node.collapse())
  await page.waitForFunction(`!${NODE}.ex4dEditor.loop.visible`, null, { timeout: comfy.PATIENCE })
  await rest()
  await count()
  await pass(page, 600)
  report.playing.collapsed = await inEditor((editor) => editor.shotView.counted > 0)
  await inEditor((editor, node) => node.collapse())
  report.playing.again = await drawn()
  await inEditor((editor) => editor.playback.stop())

  // A page that is hidden in the middle of a drag ends it; one that plays goes on from the frame that was seen last.
  await press()
  await hide(true)
  await hide(false)
  report.hidden = await after()
  await page.mouse.up()
  await inEditor((editor) => {
    editor.modes.set({ loop: false })
    editor.state.goTo(0)
    editor.playback.play()
  })
  await page.waitForFunction(`${NODE}.ex4dEditor.state.frame > 2`)
  await hide(true)
  await page.waitForTimeout(300) // a hidden page draws nothing that could be waited for
  const seenLast = await inEditor((editor) => editor.state.frame)
  await page.waitForTimeout(2000)
  await hide(false)
  await page.waitForFunction(`${NODE}.ex4dEditor.state.frame !== ${seenLast}`, null, { timeout: comfy.PATIENCE })
  report.replayed = await inEditor((editor) => ({ playing: editor.playback.playing, frame: editor.state.frame }))
  report.replayed.before = seenLast
  await inEditor((editor) => {
    editor.playback.stop()
    editor.modes.set({ loop: true })
  })

  // Twenty editors: one graphics context, and none left when the nodes are gone.
  await press()
  report.many = await inEditor(async (editor, node) => {
    const { app, LiteGraph } = window
    const twins = []
    for (let i = 0; i < 20; i++) {
      const twin = LiteGraph.createNode('EX4DCameraTrajectory')
      twin.pos = [i * 40, i * 40]
      app.graph.add(twin)
      twins.push(twin)
    }
    await new Promise((done) => setTimeout(done, 800))
    const shared = twins.every((twin) => twin.ex4dEditor.renderer === editor.renderer)
    const editors = twins.map((twin) => twin.ex4dEditor)
    for (const twin of twins) app.graph.remove(twin)
    const gl = editor.renderer.gl
    const disposed = editors.every((each) => each.disposed)
    const alive = !gl.isContextLost()
    app.graph.remove(node)
    await new Promise((done) => setTimeout(done, 300))
    return {
      shared,
      disposed,
      alive,
      released: gl.isContextLost(),
      left: document.querySelectorAll('.ex4d-editor').length
    }
  })
  report.spared.removed = await others()
} finally {
  await browser.close()
}
console.log(JSON.stringify(report))
