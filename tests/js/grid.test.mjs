import assert from 'node:assert/strict'
import { test } from 'node:test'
import { gridIndices, gridStops } from '../../web/editor/grid.js'

test('both faces of a quad end at its upper right corner, and the back plate closes the rim', () => {
  const [width, height] = [5, 4]
  for (const style of ['released', 'paper']) {
    const indices = gridIndices(width, height, style)
    const quads = (width - 1) * (height - 1)
    for (let face = 0; face < 2 * quads; face++) {
      const [a, b, c] = indices.subarray(3 * face, 3 * face + 3)
      const quad = c - 1
      const corners = [quad, quad + 1, quad + width, quad + width + 1]
      assert.ok([a, b, c].every((v) => corners.includes(v)))
    }
    assert.equal(indices.length, 6 * quads + (style === 'paper' ? 3 * 2 * (width + height - 2) : 6))
  }
  const paper = gridIndices(width, height, 'paper')
  const edges = new Map()
  for (let i = 0; i < paper.length; i += 3) {
    for (const [a, b] of [
      [0, 1],
      [1, 2],
      [2, 0]
    ]) {
      const key = `${paper[i + a]}-${paper[i + b]}`
      edges.set(key, (edges.get(key) ?? 0) + 1)
    }
  }
  for (const [key, count] of edges) {
    const [a, b] = key.split('-')
    assert.equal(count, 1)
    assert.equal(edges.get(`${b}-${a}`), 1, `edge ${key} has no twin`)
  }
})

test('the coarse grid keeps the rim and its neighbours', () => {
  assert.deepEqual(gridStops(6, 1), [0, 1, 2, 3, 4, 5])
  assert.deepEqual(gridStops(11, 2), [0, 1, 2, 4, 6, 8, 9, 10])
  assert.deepEqual(gridStops(12, 2), [0, 1, 2, 4, 6, 8, 10, 11])
  for (const count of [2, 3, 4]) assert.deepEqual(gridStops(count, 2), gridStops(count, 1))
})

test('the vertices of the coarse grid are counted as the shader counts them', () => {
  const step = 2
  const stopAt = (i, count, full) => (i < 2 ? i : i < count - 2 ? step * (i - 1) : full - count + i)
  for (let full = 2; full < 40; full++) {
    const stops = gridStops(full, step)
    assert.deepEqual(
      stops.map((_, i) => stopAt(i, stops.length, full)),
      stops
    )
  }
  const [columns, rows] = [gridStops(16, step).length, gridStops(11, step).length]
  for (const style of ['released', 'paper']) {
    const used = new Set(gridIndices(16, 11, style, step))
    const count = columns * rows + (style === 'paper' ? 1 : 0)
    assert.deepEqual(
      [...used].sort((a, b) => a - b),
      Array.from({ length: count }, (_, i) => i)
    )
  }
  // The largest short index would restart the primitive.
  assert.ok(gridIndices(300, 200, 'paper', step) instanceof Uint16Array)
  assert.ok(gridIndices(256, 256, 'paper') instanceof Uint32Array)
})
