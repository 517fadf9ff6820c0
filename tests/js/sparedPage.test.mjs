// What the rest of the page leaves out while an editor needs the processor, and that it comes back.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { films, shadows } from '../../web/editor/sparedPage.js'

const classes = new Set()
const all = [
  { paused: false, muted: true, playbackRate: 1.5 },
  { paused: true, muted: true, playbackRate: 1 },
  { paused: false, muted: false, playbackRate: 1 },
  { paused: false, muted: true, playbackRate: 1 }
]
const rates = () => all.map(({ playbackRate }) => playbackRate)
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

test('silent films that play stand still, then go on at their own rate, or at the one they were given meanwhile', () => {
  films.ask(one, true)
  assert.deepEqual(rates(), [0, 1, 1, 0])
  all[3].playbackRate = 2
  films.ask(one, false)
  assert.deepEqual(rates(), [1.5, 1, 1, 2])
})
