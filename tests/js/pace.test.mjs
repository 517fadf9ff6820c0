// How the editor keeps its picture fluid, and what the settings' choice does to that.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { AUTOMATIC, Pace, PACES, preferPace } from '../../web/editor/pace.js'

/** Steps after each of some frames while something moves, so many milliseconds apart, and after one at rest. */
function steps(interval, frames = 5) {
  const pace = new Pace(false, () => {})
  const seen = []
  for (let i = 1; i <= frames; i++) {
    pace.adapt(i * interval, true)
    pace.lastDraw = i * interval
    seen.push(pace.step)
  }
  pace.adapt((frames + 1) * interval, false)
  return [...seen, pace.step]
}

test('by itself the picture is coarser after three slow frames, and in full at rest', (context) => {
  context.after(() => preferPace(AUTOMATIC))
  preferPace(AUTOMATIC)
  assert.deepEqual(steps(60), [1, 1, 2, 2, 2, 1])
  assert.deepEqual(steps(10), [1, 1, 1, 1, 1, 1])
})

test('emulated graphics that were too slow at rest are coarse from the first frame of a movement', () => {
  for (const [software, milliseconds, step] of [
    [true, 60, 2],
    [true, 20, 1],
    [false, 60, 1]
  ]) {
    const pace = new Pace(software, () => {})
    pace.took(milliseconds)
    pace.adapt(1, true)
    assert.equal(pace.step, step)
  }
})

test('a fine picture stays in full however slow, a fast one is coarse from the first frame of a movement', (context) => {
  context.after(() => preferPace(AUTOMATIC))
  preferPace('fine')
  assert.deepEqual(steps(200), [1, 1, 1, 1, 1, 1])
  preferPace('fast')
  assert.deepEqual(steps(1), [2, 2, 2, 2, 2, 1])
})

test('what is no choice is the automatic one', (context) => {
  context.after(() => preferPace(AUTOMATIC))
  assert.deepEqual(PACES, ['automatic', 'fine', 'fast'])
  for (const value of ['', undefined, 'best']) {
    preferPace(value)
    assert.deepEqual(steps(60), [1, 1, 2, 2, 2, 1])
  }
})
