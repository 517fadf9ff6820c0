import assert from 'node:assert/strict'
import { test } from 'node:test'
import { deflateSync } from 'node:zlib'
import { belongsTo, layerOf, readMemory } from '../../web/editor/sceneMemory.js'

/** Two frames of 4x4 samples, all at depth 2, whose camera moves by 1 to the right. */
const clip = {
  header: {
    width: 4,
    height: 4,
    frames: 2,
    near: 2,
    far: 4,
    levels: 100,
    border_depth: 9,
    style: 'released',
    intrinsics: { fx: 2, fy: 2, cx: 2, cy: 2 },
    source_poses: [0, -1].map((x) => [1, 0, 0, x, 0, 1, 0, 0, 0, 0, 1, 0])
  },
  frames: [0, 1].map((index) => ({ index, image: index, depth: new Uint16Array(16).fill(100) }))
}
/** One quad of the second frame, its middle one; cells that begin at level 7 and never end, of which the last moves. */
function file(change = {}) {
  const plain = (bytes) => new Uint8Array(deflateSync(Uint8Array.from(bytes)))
  const quads = plain([0b00001000, 0])
  const solid = [plain([0, 0, 0, 0, 14, 0, 0, 0]), plain(new Array(8).fill(0)), plain([0b00010000])]
  const sizes = solid.map((part) => part.length)
  const header = {
    version: 1,
    frames: [1],
    cell: 2,
    cells: [2, 2],
    near: 2,
    levels: 65535,
    tolerance: 0.01,
    quads: [quads.length],
    solids: [sizes, sizes],
    ...change
  }
  const text = Buffer.from(JSON.stringify(header))
  const size = Buffer.alloc(4)
  size.writeUInt32LE(text.length)
  const all = Buffer.concat([Buffer.from('EX4DMEM1'), size, text, quads, ...solid, ...solid])
  return all.buffer.slice(all.byteOffset, all.byteOffset + all.length)
}

test('a memory is laid into the world where its frame saw it, in its colours', async () => {
  const memory = await readMemory(file(), clip)
  assert.deepEqual([...memory.solids[1]], [7, 0, 0, 7, 0, 0, 7, 0, 0, 7, 0, 1])
  const { vertices, indices } = layerOf(memory, clip, () => Uint8ClampedArray.from({ length: 64 }, (_, i) => i))
  assert.deepEqual([...indices], [0, 2, 1, 2, 3, 1])
  const [places, colours] = [new Float32Array(vertices), new Uint8Array(vertices)]
  assert.deepEqual([...places.slice(0, 3)], [0, -1, 2])
  assert.deepEqual([...places.slice(12, 15)], [1, 0, 2])
  assert.deepEqual([...colours.slice(12, 15)], [20, 21, 22])
})

test('a file that is damaged, or of another clip, is refused', async () => {
  const whole = file()
  for (const data of [
    whole.slice(0, 5),
    whole.slice(0, whole.byteLength - 1),
    file({ version: 2 }),
    file({ frames: [] })
  ])
    await assert.rejects(readMemory(data, clip))
  await assert.rejects(readMemory(whole, { header: { ...clip.header, frames: 3 } }))
  await assert.rejects(readMemory(whole, { header: { ...clip.header, width: 40 } }))
})

test('the name tells whose memory it is', () => {
  assert.ok(belongsTo('abc.normal-8.ex4d', 'abc.ex4d'))
  assert.ok(!belongsTo('abd.normal-8.ex4d', 'abc.ex4d'))
})
