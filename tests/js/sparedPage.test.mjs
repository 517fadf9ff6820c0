// What the rest of the page leaves out while an editor needs the processor, and that it comes back.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { films, shadows } from '../../web/editor/sparedPage.js'

const classes = new Set()
/** A film of a node, as far as it is asked. */
const film = (more = {}) => ({
  paused: false,
  muted: true,
  isConnected: true,
  currentSrc: 'a.mp4',
  pause() {
    this.paused = true
  },
  async play() {
    this.paused = false
  },
  ...more
})
const all = [film(), film({ paused: true }), film({ muted: false }), film(), film()]
globalThis.document = {
  querySelectorAll: () => all,
  documentElement: { classList: { toggle: (name, on) => (on ? classes.add(name) : classes.delete(name)) } }
}
const [one, other] = [{}, {}]

test('shadows come back when the last editor asks no more', () => {
  shadows.ask(one, true)
  shadows.ask(other, true)
  shadows.ask(one, false)
  assert.equal(classes.size, 1)
  shadows.ask(other, false)
  shadows.ask(other, false)
  assert.equal(classes.size, 0)
})

test('silent films that played go on, where they are still there and the same', () => {
  films.ask(one, true)
  assert.deepEqual(
    all.map(({ paused }) => paused),
    [true, true, false, true, true]
  )
  all[3].isConnected = false
  all[4].currentSrc = 'b.mp4'
  films.ask(one, false)
  assert.deepEqual(
    all.map(({ paused }) => paused),
    [false, true, false, true, true]
  )
})
