/**
 * The keyboard: what each key does, and the help that tells of keys and gestures.
 *
 * @import { Commands } from './commands.js'
 * @import { Modes } from './modes.js'
 * @import { Playback } from './playback.js'
 * @import { SceneView } from './sceneView.js'
 * @import { EditorState } from './state.js'
 *
 * @typedef {object} KeyTargets what the keys act on
 * @property {EditorState} state
 * @property {Commands} commands
 * @property {Modes} modes
 * @property {Playback} playback
 * @property {SceneView} sceneView
 * @property {() => void} toggleHelp
 * @property {() => void} toggleLarge
 * @property {() => void} leave
 * @property {() => void} redraw
 */

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
      ['1  2  3', 'Colour, mask, holes'],
      ['4', 'Holes filled from memory']
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
      ['T', "Set the key's time, or clear it"],
      [',  .', 'Earlier, later in the clip (with Shift ten)'],
      ['Drag a point of the time row', 'Show another frame of the clip (with Alt any moment)'],
      ['Double click the time row', 'Set a time, or clear it'],
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
      ['O', 'Points in place of faces'],
      ['F', 'Fly: W A S D, Q E down and up, drag to look, Shift faster'],
      ['V', 'Next layout'],
      ['X', 'Whole window'],
      ['Ctrl + Z, Ctrl + Shift + Z', 'Undo, redo'],
      ['?', 'This page'],
      ['Esc', 'Take a drag back; leave fly, pick, help, whole window']
    ]
  }
]

const FLY_KEYS = new Set(['KeyW', 'KeyA', 'KeyS', 'KeyD', 'KeyQ', 'KeyE', 'ShiftLeft', 'ShiftRight'])
/** Keys that are known by what they write, wherever they are on the keyboard. */
const SIGNS = new Set(['?', '+', '=', '-', '−'])
/** @type {Record<string, [number, number]>} */
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }

/**
 * What a press of a key does, by the key's place or by the sign it writes.
 * @param {KeyTargets} targets
 * @returns {Record<string, (event: KeyboardEvent) => void>}
 */
function actionsOf({ state, commands, modes, playback, sceneView, toggleHelp, toggleLarge, leave }) {
  const steps = (/** @type {KeyboardEvent} */ event) => (event.shiftKey ? 10 : 1)
  return {
    Space: () => playback.toggle(),
    ArrowLeft: (event) => state.goTo(state.frame - steps(event)),
    ArrowRight: (event) => state.goTo(state.frame + steps(event)),
    Home: () => state.goTo(0),
    End: () => state.goTo(state.document.frames - 1),
    BracketLeft: () => commands.jump(-1),
    BracketRight: () => commands.jump(1),
    KeyK: () => commands.toggleKey(),
    Insert: () => commands.toggleKey(),
    Delete: () => commands.removeKey(),
    Backspace: () => commands.removeKey(),
    KeyD: () => commands.duplicateKey(),
    KeyT: () => commands.toggleTime(),
    Comma: (event) => commands.shiftTime(-steps(event)),
    Period: (event) => commands.shiftTime(steps(event)),
    KeyL: () => modes.toggle('loop'),
    KeyP: () => modes.toggle('picking'),
    KeyS: () => modes.toggle('snapping'),
    KeyO: () => modes.toggle('points'),
    KeyF: () => modes.toggle('flying'),
    KeyV: () => modes.nextLayout(),
    KeyX: toggleLarge,
    KeyH: () => sceneView.home(),
    Digit1: () => modes.set({ mode: 'colour' }),
    Digit2: () => modes.set({ mode: 'mask' }),
    Digit3: () => modes.set({ mode: 'checker' }),
    Digit4: () => modes.toggle('memory'),
    Digit7: () => sceneView.standard('top'),
    Digit8: () => sceneView.standard('side'),
    Digit9: () => sceneView.standard('back'),
    Escape: leave,
    '?': toggleHelp,
    '+': () => commands.dolly(1 / 1.06),
    '=': () => commands.dolly(1 / 1.06),
    '-': () => commands.dolly(1.06),
    '−': () => commands.dolly(1.06)
  }
}

/**
 * The editor's keyboard.
 * @param {KeyTargets} targets
 * @returns {(event: KeyboardEvent) => boolean} whether a key was used
 */
export function keyboardOf(targets) {
  const { state, commands, modes } = targets
  const actions = actionsOf(targets)
  return (event) => {
    if (event.ctrlKey || event.metaKey) {
      if (event.code === 'KeyZ') event.shiftKey ? state.redo() : state.undo()
      else if (event.code === 'KeyY') state.redo()
      else if (event.code === 'KeyD') commands.duplicateKey()
      else return false
      return true
    }
    if (modes.flying && FLY_KEYS.has(event.code)) {
      modes.flyKeys.add(event.code)
      targets.redraw()
      return true
    }
    if (event.altKey) {
      const way = ARROWS[event.code]
      if (!way) return false
      const degrees = event.shiftKey ? 5 : 1
      commands.nudge(way[0] * degrees, way[1] * degrees)
      return true
    }
    const act = SIGNS.has(event.key) ? actions[event.key] : actions[event.code]
    act?.(event)
    return !!act
  }
}
