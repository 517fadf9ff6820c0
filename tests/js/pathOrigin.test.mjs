// What decides a camera node's path: own widgets, the face of a subgraph, links, files; and what may be edited.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { PathOrigin } from '../../web/pathOrigin.js'

const VALUES = {
  preset: 'orbit',
  angle: 90,
  distance: 0.5,
  turns: 2,
  rise: 0,
  follow: 0,
  ease: 'linear',
  frames: 0,
  fps: 15,
  scale: 1,
  file: 'none',
  path: ''
}

/** A camera node in a graph of its own. @param {object} [given] values that are others */
function cameraNode(given = {}) {
  const widgets = Object.entries({ ...VALUES, ...given }).map(([name, value]) => ({ name, value }))
  const inputs = [
    { name: 'mesh', link: null },
    { name: 'viewpoint', link: null },
    ...widgets.map(({ name }) => ({ name, widget: { name }, link: null }))
  ]
  const graph = { nodes: [], links: new Map() }
  const node = { id: 1, graph, widgets, inputs, properties: {} }
  graph.nodes.push(node)
  const widget = (name) => widgets.find((each) => each.name === name)
  /** Links an input to another node, or to the subgraph's own input. */
  const link = (name, origin_id = 7, origin_slot = 0) => {
    const id = graph.links.size + 1
    graph.links.set(id, { origin_id, origin_slot })
    inputs.find((input) => input.name === name).link = id
  }
  return { node, graph, widget, link }
}

/** Subgraph nodes that show a graph, each with a face of its own. @param {object} graph @param {string[]} names */
function hosts(graph, names, count = 1) {
  const root = { nodes: [], links: new Map() }
  graph.rootGraph = root
  for (let i = 0; i < count; i++) {
    const widgets = names.map((name) => ({ name, value: VALUES[name] }))
    const inputs = names.map((name) => ({ name, link: null, ...(name in VALUES && { widget: { name } }) }))
    root.nodes.push({ id: 50 + i, graph: root, subgraph: graph, widgets, inputs, properties: {} })
  }
  return root.nodes
}

/** The note as it is read. */
const text = (origin) => origin.note.sentences.join(' ')
const made = (angle) =>
  JSON.stringify({ version: 1, frames: 9, radius: 2, source: { preset: 'orbit', params: { angle } }, keyframes: [] })

test("the node's own widgets decide, and there is nothing to say", () => {
  const { node } = cameraNode({ angle: 30 })
  const origin = new PathOrigin(node)
  assert.equal(origin.document(null).source.params.angle, 30)
  assert.equal(text(origin), '')
  assert.equal(origin.lock, '')
  origin.keep(made(30))
  assert.deepEqual(node.properties, {}, 'what the widgets say need not be kept')
})

test('bullet time is as long as the clip and what is frozen of it, and a preset can be closed', () => {
  const bullet = new PathOrigin(cameraNode({ preset: 'bullet_time', freeze: 20, hold: 12 }).node)
  const scene = { radius: 2, pivot: [0, 0, 2], frames: 33 }
  assert.equal(bullet.document(scene).frames, 45)
  assert.equal(bullet.document(null).frames, 61)
  assert.equal(bullet.document(null).source.params.freeze, 20)
  assert.ok(!('loop' in bullet.document(null)))
  assert.equal(new PathOrigin(cameraNode({ loop: true }).node).document(scene).loop, true)
  assert.equal(new PathOrigin(cameraNode({ preset: 'bullet_time', frames: 30 }).node).document(scene).frames, 30)
})

for (const name of ['angle', 'preset', 'fps', 'file']) {
  test(`a linked ${name} is shown as the last run made it, and says so`, () => {
    const { node, link, widget } = cameraNode()
    link(name)
    const origin = new PathOrigin(node)
    assert.match(text(origin), new RegExp(`${name} comes from a link. Run the node`))
    assert.equal(origin.document(null).source.params.angle, 90)
    origin.keep(made(33))
    assert.equal(origin.document(null).source.params.angle, 33)
    assert.match(text(origin), new RegExp(`${name} comes from a link. This is what the last run made`))
    assert.equal(origin.lock, '', 'an edited path takes the place of the link')
    widget('scale').value = 2
    assert.ok(origin.survey())
    assert.match(text(origin), /run again/)
    // An edited path counts, whatever is linked.
    widget('path').value = made(10)
    origin.survey()
    assert.equal(text(origin), '')
    origin.keep(made(10))
    assert.deepEqual(node.properties, {})
  })
}

test('a link that the chosen preset does not use changes nothing', () => {
  const { node, link } = cameraNode({ preset: 'zoom_in' })
  link('angle')
  assert.equal(text(new PathOrigin(node)), '')
})

test('a linked path locks the editor until it is unlinked', () => {
  const { node, link, widget } = cameraNode({ path: made(5) })
  link('path')
  const origin = new PathOrigin(node)
  assert.equal(origin.pathWidget, null)
  assert.equal(origin.text, '')
  assert.match(origin.lock, /path comes from a link/)
  origin.keep(made(44))
  assert.equal(origin.document(null).source.params.angle, 44)
  assert.match(text(origin), /would not count/)
  node.inputs.find((input) => input.name === 'path').link = null
  assert.ok(origin.survey())
  assert.equal(origin.lock, '')
  assert.equal(origin.pathWidget, widget('path'))
  assert.equal(origin.result, '')
})

test("values on a subgraph's face are those that are sent, and its path takes the edits", () => {
  const { node, graph, link } = cameraNode()
  link('path', -10, 0)
  link('angle', '-10', 1) // as newer frontends write it
  const [face] = hosts(graph, ['path', 'angle'])
  face.widgets[1].value = 12
  const origin = new PathOrigin(node)
  assert.equal(origin.document(null).source.params.angle, 12)
  assert.equal(origin.pathWidget, face.widgets[0])
  assert.equal(origin.lock, '')
  assert.match(text(origin), /face; edits go there/)
  assert.equal(origin.survey(), false)
  face.widgets[1].value = 13 // no callback tells of it
  assert.equal(origin.survey(), true)
  assert.equal(origin.document(null).source.params.angle, 13)
})

test('what a face gets over a link of its own only a run knows', () => {
  const { node, graph, link } = cameraNode()
  link('path', -10, 0)
  const [face] = hosts(graph, ['path'])
  face.graph.links.set(3, { origin_id: 8, origin_slot: 0 })
  face.inputs[0].link = 3
  assert.match(new PathOrigin(node).lock, /comes from a link/)
})

test('a subgraph that is used twice has two paths: none of them is edited from inside', () => {
  const { node, graph, link } = cameraNode()
  link('path', -10, 0)
  hosts(graph, ['path'], 2)
  assert.match(new PathOrigin(node).lock, /path is set on 2 nodes of this subgraph/)
})

test('a socket that leads to an empty one on the face is not connected', () => {
  const { node, graph, link } = cameraNode()
  link('viewpoint', -10, 0)
  const [face] = hosts(graph, ['viewpoint'])
  face.widgets.length = 0
  assert.equal(new PathOrigin(node).takesCamera, false)
})

test("a camera file's path is shown after a run, and another file's is not it", () => {
  const { node, widget } = cameraNode({ file: 'a.json' })
  const origin = new PathOrigin(node)
  assert.match(text(origin), /camera file's path is shown after the node has run/)
  origin.keep(made(21))
  assert.equal(origin.document(null).source.params.angle, 21)
  assert.equal(text(origin), '')
  widget('scale').value = 3
  origin.survey()
  assert.match(text(origin), /run again/)
  widget('file').value = 'b.json'
  origin.survey()
  assert.equal(origin.result, '')
  assert.match(text(origin), /camera file's path is shown after/)
})

test('a graph of an older version shows the camera path that it kept', () => {
  const { node } = cameraNode({ file: 'a.json' })
  node.properties.ex4d_path = made(17)
  assert.equal(new PathOrigin(node).document(null).source.params.angle, 17)
})

test('a node that was made anew takes the result of its run again, and no result of another camera', () => {
  const { node, widget } = cameraNode({ file: 'a.json' })
  const origin = new PathOrigin(node)
  origin.keep(made(61))
  node.properties = {}
  assert.ok(origin.lacksResult)
  origin.recover(made(61))
  assert.equal(origin.document(null).source.params.angle, 61)
  widget('file').value = 'b.json'
  origin.survey()
  assert.equal(origin.lacksResult, false)
  node.properties = {}
  origin.recover(made(61))
  assert.equal(origin.result, '')
  origin.recover(made(62)) // of a run that this page knows nothing of
  assert.equal(origin.result, '')
})

test('where the source camera moves a preset stands in the world, unless it follows that camera', () => {
  const scene = { radius: 2, pivot: [0, 0, 2], intrinsics: null, frames: 9, moves: true }
  const of = (given, shown = scene) => new PathOrigin(cameraNode(given).node).document(shown).frame_of_reference
  for (const base of ['auto', 'locked']) assert.equal(of({ base, stabilise: 1.5 }), 'world')
  assert.equal(of({ base: 'follow', stabilise: 1.5 }), undefined)
  assert.equal(of({ base: 'auto', stabilise: 1.5 }, { ...scene, moves: false }), undefined)
  assert.equal(of({}), 'world', 'a graph from before there was a base is read by Python as auto')
})

test('a stabilised path is what the last run made, and says when it is of other values', () => {
  const { node, widget } = cameraNode({ base: 'stabilised', stabilise: 1.5 })
  const origin = new PathOrigin(node)
  assert.ok(origin.needsRun && origin.lacksResult)
  assert.match(text(origin), /Run the node to see its path/)
  origin.keep(made(12))
  assert.equal(origin.document(null).source.params.angle, 12)
  assert.match(text(origin), /This is what the last run made/)
  widget('stabilise').value = 3
  origin.survey()
  assert.match(text(origin), /other values have changed since/)
  widget('base').value = 'locked'
  origin.survey()
  assert.equal(origin.result, '', 'another base is another path')
  assert.equal(text(origin), '')
})
