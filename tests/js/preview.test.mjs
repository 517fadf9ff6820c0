import assert from 'node:assert/strict'
import { test } from 'node:test'
import { deflateSync } from 'node:zlib'
import { depthOf, isReference, loadPreview, unpackDepth } from '../../web/editor/preview.js'
import { close } from './paths.mjs'

test('packed depth decodes to the levels that Python stored', () => {
  // 3x2 levels with steps up, down and around the 16-bit edge.
  const levels = [65535, 0, 1, 65530, 65535, 300]
  const change = [65535, 1, 1, (65530 - 65535) & 0xffff, 5, (300 - 65535) & 0xffff]
  const zigzag = change.map((c) => (((c << 1) & 0xffff) ^ (c & 0x8000 ? 0xffff : 0)) & 0xffff)
  const bytes = Uint8Array.from([...zigzag.map((v) => v >> 8), ...zigzag.map((v) => v & 255)])
  assert.deepEqual([...unpackDepth(bytes, 3, 2)], levels)
  assert.throws(() => unpackDepth(bytes.subarray(1), 3, 2), /damaged/)
  close(
    [depthOf({ levels: 65535, near: 2, far: 50 }, 65535), depthOf({ levels: 65535, near: 2, far: 50 }, 0)],
    [2, 50],
    1e-9
  )
})

/** A preview file of one flat frame, as the server would send it. */
function previewFile(change = {}) {
  const header = {
    version: 1,
    width: 4,
    height: 4,
    frames: 1,
    clip_frames: 1,
    frame_numbers: [0],
    near: 1,
    far: 9,
    levels: 65535,
    style: 'released',
    min_angle: 2.5,
    max_jump: null,
    border_depth: 100,
    radius: 1.15,
    pivot: [0, 0, 1.15],
    intrinsics: { fx: 4, fy: 4, cx: 2, cy: 2 },
    source: [8, 8],
    sizes: [[3, 0]],
    ...change
  }
  const depth = deflateSync(Buffer.alloc(32))
  header.sizes = [[3, depth.length]]
  const text = Buffer.from(JSON.stringify(header))
  const size = Buffer.alloc(4)
  size.writeUInt32LE(text.length)
  return Buffer.concat([Buffer.from('EX4DPRV1'), size, text, Buffer.from([1, 2, 3]), depth])
}

async function received(body, status = 200) {
  const before = [globalThis.fetch, globalThis.createImageBitmap]
  // Odd pieces, so that the reader has to join and split them.
  const pieces = []
  for (let i = 0; i < body.length; i += 7) pieces.push(body.subarray(i, i + 7))
  globalThis.fetch = async () =>
    new Response(
      new ReadableStream({
        start: (c) => {
          pieces.forEach((p) => c.enqueue(new Uint8Array(p)))
          c.close()
        }
      }),
      { status }
    )
  globalThis.createImageBitmap = async () => ({ close() {} })
  const got = { frames: [] }
  try {
    await loadPreview('x', { header: (h) => (got.header = h), frame: (f) => got.frames.push(f) })
  } finally {
    ;[globalThis.fetch, globalThis.createImageBitmap] = before
  }
  return got
}

test('a preview streams in pieces; damage and absence are told in a sentence', async () => {
  const got = await received(previewFile())
  assert.equal(got.header.source[0], 8)
  assert.equal(got.frames[0].depth.length, 16)
  await assert.rejects(received(previewFile().subarray(0, -4)), /ends too early/)
  await assert.rejects(received(Buffer.from('this is a web page, not a preview')), /no EX-4D preview/)
  await assert.rejects(received(previewFile({ far: 0 })), /damaged/)
  await assert.rejects(
    received(previewFile(), 404),
    (error) => error.gone && /Run the camera node again/.test(error.message)
  )
  assert.ok(isReference({ filename: 'a.ex4d', subfolder: 's', type: 'temp' }))
  for (const odd of [
    null,
    'a',
    { filename: '', subfolder: '', type: 'temp' },
    { filename: 'a', subfolder: '', type: 'input' }
  ])
    assert.ok(!isReference(odd))
})
