import assert from 'node:assert/strict'
import { afterEach, beforeEach, test } from 'node:test'
import { DrawLoop } from '../../web/editor/drawLoop.js'

/** Frames that were asked for, by their number. */
let asked
const page = {}

beforeEach(() => {
  asked = new Map()
  let count = 0
  page.request = globalThis.requestAnimationFrame
  page.cancel = globalThis.cancelAnimationFrame
  globalThis.requestAnimationFrame = (act) => {
    asked.set(++count, act)
    return count
  }
  globalThis.cancelAnimationFrame = (number) => asked.delete(number)
})

afterEach(() => {
  globalThis.requestAnimationFrame = page.request
  globalThis.cancelAnimationFrame = page.cancel
})

const nextFrame = () => {
  const acts = [...asked.values()]
  asked.clear()
  acts.forEach((act) => act(16))
}

test('however much changes, one frame is asked for, and it draws what has changed', () => {
  const drawn = []
  const loop = new DrawLoop(() => drawn.push([...loop.take(null)]))
  loop.redraw('time')
  loop.redraw('shot')
  loop.redraw('time')
  assert.equal(asked.size, 1)
  assert.equal(loop.numbersDirty, false)
  nextFrame()
  assert.deepEqual(drawn, [['time', 'shot']])
  loop.redraw()
  assert.equal(loop.numbersDirty, true)
  nextFrame()
  assert.deepEqual(drawn[1].toSorted(), ['scene', 'shot', 'time'])
})

test('nothing is drawn where nobody sees it, and everything when it is seen again', () => {
  const loop = new DrawLoop(() => {})
  loop.setVisible(false)
  loop.redraw('shot')
  assert.equal(asked.size, 0)
  loop.setVisible(true)
  assert.equal(asked.size, 1)
  assert.equal(loop.dirty.size, 3)
})

test('a spared part is drawn every second time and never forgotten', () => {
  const loop = new DrawLoop(() => {})
  const drawn = []
  for (let i = 0; i < 4; i++) {
    loop.redraw()
    drawn.push(loop.take('scene').has('scene'))
  }
  assert.deepEqual(drawn, [false, true, false, true])
  loop.redraw('scene')
  loop.take('scene')
  assert.ok(loop.dirty.has('scene'))
  assert.ok(loop.take(null).has('scene'))
})

test('a loop that was stopped draws no more, not even what it has asked for', () => {
  let count = 0
  const loop = new DrawLoop(() => count++)
  loop.redraw()
  const late = [...asked.values()]
  loop.stop()
  late.forEach((act) => act(16))
  loop.redraw()
  assert.equal(asked.size, 0)
  assert.equal(count, 0)
})
