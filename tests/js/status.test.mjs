import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ranges } from '../../web/editor/status.js'

test('warnings name frames as runs', () => {
  assert.equal(ranges([]), '')
  assert.equal(ranges([false, true]), 'frame 1')
  assert.equal(ranges([true, true, true, false, true]), 'frames 0–2, 4')
})
