import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SceneLoader } from '../../web/editor/sceneLoader.js'

const named = (filename) => ({ filename, subfolder: 'ex4d', type: 'temp' })

test('a memory of another scene takes no memory away, and one that was left tells nobody', async (t) => {
  const warned = t.mock.method(console, 'warn', () => {})
  t.mock.method(
    globalThis,
    'fetch',
    (_url, { signal }) => new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
  )
  const nothing = () => {}
  const scene = { clip: { header: {} }, index: 0 }
  const warnings = { refresh: nothing, refreshInside: nothing }
  const loader = new SceneLoader({ url: String, scene, show: nothing, remembered: nothing, warnings, redraw: nothing })
  const first = loader.load(named('one.ex4d')) // is on its way meanwhile
  for (const name of ['two.normal-8.ex4d', 'one.normal-8.ex4d', 'two.strict-8.ex4d']) await loader.remember(named(name))
  assert.equal(loader.offered.get('one').filename, 'one.normal-8.ex4d')

  loader.shown = 'one.ex4d'
  const remembering = loader.remember(loader.offered.get('one'))
  assert.equal(loader.recalled, 'one.normal-8.ex4d')
  const second = loader.load(named('two.ex4d'))
  await Promise.all([first, remembering])
  assert.equal(warned.mock.callCount(), 0)
  loader.dispose()
  await second
})

test('a memory that is offered no more goes from the clip, and another one stays', () => {
  let told = 0
  const clip = { header: {}, memory: { header: {} } }
  const loader = new SceneLoader({ scene: { clip }, remembered: () => told++ })
  loader.shown = 'one.ex4d'
  loader.recalled = 'one.normal-8.ex4d'
  loader.offered.set('one', named('one.normal-8.ex4d'))
  loader.forgetMemory(named('one.strict-8.ex4d'))
  assert.ok(clip.memory && loader.offered.has('one') && !told)
  loader.forgetMemory(named('one.normal-8.ex4d'))
  assert.deepEqual([clip.memory, loader.recalled, loader.offered.size, told], [null, '', 0, 1])
})
