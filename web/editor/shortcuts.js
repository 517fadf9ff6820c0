// @ts-check
/** Keyboard and gestures: one table that both the editor obeys and its help shows. */

/** @typedef {import('./editor.js').Editor} Editor */

/** @type {{title: string, rows: [string, string][]}[]} */
export const HELP = [
  {
    title: 'Shot view',
    rows: [
      ['Drag', 'Orbit the camera around the pivot'],
      ['Shift + drag, right or middle button', 'Move sideways and up'],
      ['Wheel, pinch', 'Closer, farther'],
      ['Ctrl + drag', 'Look around from the spot'],
      ['Alt + drag', 'Roll'],
      ['Two fingers', 'Move sideways, closer, farther'],
      ['Shift + wheel', 'Field of view'],
      ['1  2  3', 'Colour, mask, holes']
    ]
  },
  {
    title: 'Scene view',
    rows: [
      ['Drag', 'Turn the view'],
      ['Shift + drag, right or middle button', 'Pan the view'],
      ['Wheel, pinch', 'Zoom the view'],
      ['Two fingers', 'Pan and zoom the view'],
      ['Drag a point', 'Move camera, target, pivot or key'],
      ['Drag an arrow, a square', 'Along an axis, in a plane'],
      ['Ctrl + drag the camera', 'Take its target along'],
      ['Shift while dragging the camera', 'Around the pivot'],
      ['H', 'See the whole path'],
      ['7  8  9', 'From above, from the side, from behind']
    ]
  },
  {
    title: 'Time and keys',
    rows: [
      ['Space', 'Play, pause'],
      ['← →', 'One frame (with Shift ten)'],
      ['[  ]', 'Key before, key after'],
      ['Home  End', 'First, last frame'],
      ['K', 'Add a key here, or remove it'],
      ['Delete', 'Delete the key'],
      ['D', 'Duplicate the key'],
      ['Drag a key', 'Move it in time (with Alt a copy)'],
      ['Double click the timeline', 'Add a key'],
      ['L', 'Loop']
    ]
  },
  {
    title: 'Everything else',
    rows: [
      ['Alt + arrows', 'Orbit by 1° (with Shift 5°)'],
      ['+  −', 'Closer, farther'],
      ['P', 'Pick the pivot: click what to orbit around'],
      ['S', 'Snapping (Alt while dragging: the opposite)'],
      ['F', 'Fly: W A S D, Q E down and up, drag to look, Shift faster'],
      ['V', 'Next layout'],
      ['X', 'Whole window'],
      ['Ctrl + Z, Ctrl + Shift + Z', 'Undo, redo'],
      ['?', 'This page'],
      ['Esc', 'Take a drag back; leave fly, pick, help, whole window']
    ]
  }
]

/**
 * Handles a key press in the editor. @param {Editor} editor @param {KeyboardEvent} event
 * @returns {boolean} whether the editor used it
 */
export function press(editor, event) {
  const { state, timeline, shotView, sceneView } = editor
  const command = event.ctrlKey || event.metaKey
  if (command) {
    if (event.code === 'KeyZ') event.shiftKey ? state.redo() : state.undo()
    else if (event.code === 'KeyY') state.redo()
    else if (event.code === 'KeyD') timeline.duplicateKey()
    else return false
    return true
  }
  if (editor.flying && FLY_KEYS.has(event.code)) {
    editor.held.add(event.code)
    editor.redraw()
    return true
  }
  if (event.altKey) {
    const way = ARROWS[event.code]
    if (!way) return false
    editor.nudge(way[0] * (event.shiftKey ? 5 : 1), way[1] * (event.shiftKey ? 5 : 1))
    return true
  }
  /** @type {Record<string, () => void>} */
  const byCode = {
    Space: () => editor.playback.toggle(),
    ArrowLeft: () => state.goTo(state.frame - (event.shiftKey ? 10 : 1)),
    ArrowRight: () => state.goTo(state.frame + (event.shiftKey ? 10 : 1)),
    Home: () => state.goTo(0),
    End: () => state.goTo(state.document.frames - 1),
    BracketLeft: () => timeline.jump(-1),
    BracketRight: () => timeline.jump(1),
    KeyK: () => timeline.toggleKey(),
    Insert: () => timeline.toggleKey(),
    Delete: () => timeline.removeKey(),
    Backspace: () => timeline.removeKey(),
    KeyD: () => timeline.duplicateKey(),
    KeyL: () => editor.setLoop(!editor.playback.loop),
    KeyP: () => editor.setPicking(!editor.picking),
    KeyS: () => editor.setSnapping(!editor.snapping),
    KeyF: () => editor.setFlying(!editor.flying),
    KeyV: () => editor.nextLayout(),
    KeyX: () => editor.page.setLarge(!editor.page.large),
    KeyH: () => sceneView.home(),
    Digit1: () => shotView.setMode('colour'),
    Digit2: () => shotView.setMode('mask'),
    Digit3: () => shotView.setMode('checker'),
    Digit7: () => sceneView.standard('top'),
    Digit8: () => sceneView.standard('side'),
    Digit9: () => sceneView.standard('back'),
    Escape: () => editor.leave()
  }
  /** @type {Record<string, () => void>} */
  const byKey = {
    '?': () => editor.page.toggleHelp(),
    '+': () => editor.dolly(1 / 1.06),
    '=': () => editor.dolly(1 / 1.06),
    '-': () => editor.dolly(1.06),
    '−': () => editor.dolly(1.06)
  }
  const act = byKey[event.key] ?? byCode[event.code]
  act?.()
  return !!act
}

const FLY_KEYS = new Set(['KeyW', 'KeyA', 'KeyS', 'KeyD', 'KeyQ', 'KeyE', 'ShiftLeft', 'ShiftRight'])
/** @type {Record<string, [number, number]>} */
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }
