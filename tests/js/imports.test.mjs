// How the browser's modules hang together: no circle, JSDoc's type imports counted, and pure parts that know no page.
import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

const WEB = fileURLToPath(new URL('../../web', import.meta.url))
const names = readdirSync(WEB, { recursive: true }).filter((name) => name.endsWith('.js'))

/** What a module names in `import`, `export ... from`, `@import` and `import('...')`, from web/ on. */
function importsOf(name) {
  const text = readFileSync(join(WEB, name), 'utf8')
  const found = [...text.matchAll(/(?:\bfrom\s+|\bimport\s+|\bimport\()(['"])(\.[^'"]+)\1/g)].map((match) => match[2])
  return [...new Set(found)].map((path) => relative(WEB, join(WEB, dirname(name), path)))
}

const graph = new Map(names.map((name) => [name, importsOf(name)]))

/** The first circle on a way from a module, else null. */
function circleFrom(name, way = [], known = new Set()) {
  if (way.includes(name)) return [...way.slice(way.indexOf(name)), name]
  if (known.has(name)) return null
  known.add(name)
  for (const next of graph.get(name) ?? []) {
    const circle = circleFrom(next, [...way, name], known)
    if (circle) return circle
  }
  return null
}

test('no module imports itself by a detour, types included', () => {
  assert.ok(names.length > 30)
  const known = new Set()
  for (const name of names) assert.equal(circleFrom(name, [], known)?.join(' -> ') ?? null, null)
})

test('every import leads to a file, and only those of ComfyUI lead outside', () => {
  for (const [name, imports] of graph) {
    for (const path of imports) {
      const outside = path.startsWith('..')
      assert.ok(outside ? path.startsWith(join('..', '..', 'scripts')) : graph.has(path), `${name} imports ${path}`)
    }
  }
})

test('the editor knows nothing of ComfyUI, and no part of it knows the editor', () => {
  for (const [name, imports] of graph) {
    if (!name.startsWith('editor')) continue
    for (const path of imports) assert.ok(path.startsWith('editor'), `${name} imports ${path}`)
    assert.ok(!imports.includes(join('editor', 'editor.js')), `${name} imports the whole editor`)
  }
})

test('the path and its mathematics are plain values: no page, no state, no graphics', () => {
  const plain = ['math', 'curves', 'poses', 'presets', 'pathDocument', 'loop', 'time', 'trajectory', 'edits'].map(
    (name) => join('editor', `${name}.js`)
  )
  for (const name of plain) {
    const text = readFileSync(join(WEB, name), 'utf8')
    assert.ok(!/\b(window|navigator|performance|requestAnimationFrame|querySelector)\b/.test(text), name)
    for (const path of graph.get(name)) assert.ok(plain.includes(path), `${name} imports ${path}`)
  }
})
