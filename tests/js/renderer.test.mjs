import assert from 'node:assert/strict'
import { test } from 'node:test'
import { shotRange } from '../../web/editor/renderer.js'

test('the shot is cut off where the renderer cuts it, whatever the unit of the scene', () => {
  assert.deepEqual(shotRange(undefined), { near: 1e-3, far: 1e3 })
  assert.deepEqual(shotRange(/** @type {any} */ ({ border_depth: 100 })), { near: 1e-3, far: 1e3 })
  assert.deepEqual(shotRange(/** @type {any} */ ({ border_depth: 1e5 })), { near: 1, far: 1e6 })
  assert.deepEqual(shotRange(/** @type {any} */ ({ border_depth: 100, near: 1e-4 })), { near: 2e-5, far: 1e3 })
})
