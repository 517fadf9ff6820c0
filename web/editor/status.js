/**
 * The line at the bottom: what is wrong, what to be aware of, else what is shown.
 *
 * @import { Modes } from './modes.js'
 * @import { PreviewHeader } from './preview.js'
 * @import { SceneLoader } from './sceneLoader.js'
 * @import { ShownScene } from './shownScene.js'
 * @import { EditorState } from './state.js'
 * @import { Warnings } from './warnings.js'
 *
 * @typedef {object} StatusOptions
 * @property {EditorState} state
 * @property {ShownScene} scene
 * @property {SceneLoader} loader
 * @property {Modes} modes
 * @property {Warnings} warnings
 * @property {() => string} pathNote what the user should know about the path while the node has none of its own
 */
import { make } from './dom.js'
import { resampleDocument } from './trajectory.js'

export class Status {
  /** @param {StatusOptions} options */
  constructor({ state, scene, loader, modes, warnings, pathNote }) {
    this.state = state
    this.scene = scene
    this.loader = loader
    this.modes = modes
    this.warnings = warnings
    this.pathNote = pathNote
    this.text = ''
    this.element = make('div', { class: 'ex4d-status', role: 'status', 'aria-live': 'polite' })
  }

  /** @returns {HTMLElement[]} */
  parts() {
    const { state, warnings, loader } = this
    const { clip } = this.scene
    const { picking, flying, holeLimit } = this.modes
    /** @type {HTMLElement[]} */
    const parts = []
    const say = (/** @type {string} */ text, kind = '') =>
      parts.push(make('span', { class: kind, title: text }, [text]))
    if (state.problem) say(`${state.problem} The path shown is the last good one.`, 'ex4d-bad')
    if (state.refused) say(state.refused, 'ex4d-warn')
    const note = state.text.trim() ? '' : this.pathNote()
    if (note) say(note, 'ex4d-warn')
    if (clip && loader.note) say(loader.note, 'ex4d-warn')
    const scene = state.scene
    if (scene && scene.frames > 1 && scene.frames !== state.document.frames) parts.push(this.lengths(scene.frames))
    const inside = ranges(warnings.inside)
    if (inside) say(`⚠ The camera enters the scene at ${inside}.`, 'ex4d-bad')
    const torn = ranges(warnings.holes.map((share) => share > holeLimit))
    if (torn) say(`⚠ More than ${Math.round(holeLimit * 100)} % holes at ${torn}.`, 'ex4d-warn')
    if (picking) say('Click what the camera should orbit around.')
    if (flying) say('Flying: W A S D, Q E, drag to look, Esc to land.')
    if (!parts.length) {
      const keys = `${state.document.keyframes.length} keys`
      if (state.document.source) say('A preset. Drag the camera, or any number, and it turns into keyframes.')
      else say(clip ? `${keys} · ${described(clip.header)}` : keys)
    }
    return parts
  }

  /** Path and clip differ in length. @param {number} frames of the clip */
  lengths(frames) {
    const { state } = this
    return make('span', { class: 'ex4d-warn' }, [
      `The path has ${state.document.frames} frames, the clip ${frames}. `,
      make(
        'button',
        {
          type: 'button',
          class: 'ex4d-link',
          onclick: () => {
            state.edit('length', (document) => resampleDocument(document, frames))
            state.settle()
          }
        },
        ['Fit the path']
      )
    ])
  }

  refresh() {
    const parts = this.parts()
    const text = parts.map((part) => part.textContent).join('|')
    if (text === this.text) return
    this.text = text
    this.element.replaceChildren(...parts)
  }
}

/** A clip in words. @param {PreviewHeader} header */
const described = ({ clip_frames, source, width, height }) =>
  `${clip_frames} frames of ${source.join('×')}, shown at ${width}×${height}`

/** Runs of true as text: "frames 3–7, 12"; empty where there are none. @param {boolean[]} flags */
export function ranges(flags) {
  /** @type {string[]} */
  const out = []
  for (let i = 0; i < flags.length; i++) {
    if (!flags[i]) continue
    let end = i
    while (flags[end + 1]) end++
    out.push(end > i ? `${i}–${end}` : `${i}`)
    i = end
  }
  if (!out.length) return ''
  const many = out.length > 1 || out[0].includes('–')
  const shown = out.length > 4 ? `${out.slice(0, 4).join(', ')} …` : out.join(', ')
  return `frame${many ? 's' : ''} ${shown}`
}
