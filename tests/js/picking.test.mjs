import assert from 'node:assert/strict'
import { test } from 'node:test'
import { insideSurface, meetSurface } from '../../web/editor/picking.js'
import { close } from './paths.mjs'

test('a ray meets the visible surface, not the curtain beside it', () => {
  const header = {
    width: 32,
    height: 32,
    near: 1,
    far: 10,
    levels: 65535,
    border_depth: 20,
    radius: 1.2,
    intrinsics: { fx: 32, fy: 32, cx: 16, cy: 16 }
  }
  const level = (z) => Math.round(((1 / z - 1 / 10) / (1 / 1 - 1 / 10)) * 65535)
  const depth = new Uint16Array(32 * 32).map((_, i) => level(i % 32 < 16 ? 2 : 8))
  const front = meetSurface(header, depth, { eye: [0, 0, 0], direction: [-0.2, 0.05, 1] })
  close(front, [-0.4, 0.1, 2], 0.01)
  close(meetSurface(header, depth, { eye: [0, 0, 0], direction: [0.2, 0, 1] }), [1.6, 0, 8], 0.05)
  // From the side, above the near half, the ray passes the curtain between 2 and 8 and is not stopped by it.
  const aside = meetSurface(header, depth, { eye: [3, 0, 4], direction: [-1, 0, 0.2] })
  assert.ok(aside === null || Math.abs(aside[2] - 8) < 0.1 || Math.abs(aside[2] - 2) < 0.1)
  assert.equal(insideSurface(header, depth, [-0.5, 0, 3]), true)
  assert.equal(insideSurface(header, depth, [-0.5, 0, 1]), false)
  assert.equal(insideSurface(header, depth, [0, 0, -1]), false)
})
