import assert from 'node:assert/strict'
import { test } from 'node:test'
import { pinched } from '../../web/editor/dom.js'

test('two fingers move the view by their middle and scale it by their distance', () => {
  const at = (/** @type {number} */ clientX, /** @type {number} */ clientY) => ({ clientX, clientY })
  assert.deepEqual(pinched([at(0, 0), at(10, 0)], [at(2, 4), at(12, 4)]), [2, 4, 1])
  assert.deepEqual(pinched([at(0, 0), at(10, 0)], [at(-5, 0), at(15, 0)]), [0, 0, 2])
  assert.ok(Number.isFinite(pinched([at(3, 3), at(3, 3)], [at(3, 3), at(3, 3)])[2]))
})
