// A lens, a path, and an editor's state to test with.
import assert from 'node:assert/strict'
import { defaultIntrinsics, EditorState } from '../../web/editor/state.js'
import { presetDocument } from '../../web/editor/trajectory.js'

/** Fails unless two lists of numbers are the same within a tolerance. */
export const close = (actual, expected, tolerance = 1e-6) =>
  Array.from(expected).forEach((value, i) =>
    assert.ok(Math.abs(actual[i] - value) <= tolerance, `${Array.from(actual)} is not ${Array.from(expected)}`)
  )

export const lens = defaultIntrinsics(256, 256)
export const orbit = (angle = 60) => presetDocument('orbit', { frames: 49, radius: 2, params: { angle, rise: 0 } })

/** A state whose clock is set by hand, and the texts that it has written. */
export function stateOf(document = orbit()) {
  const written = []
  const clock = { now: 0 }
  const state = new EditorState({ write: (text) => written.push(text), now: () => clock.now })
  state.read('', () => document)
  return { state, written, clock }
}
