/**
 * The line at the bottom: what is wrong, what to be aware of, else what is shown.
 *
 * @import { Modes } from './modes.js'
 * @import { PathDocument } from './pathDocument.js'
 * @import { PreviewHeader } from './preview.js'
 * @import { SceneLoader } from './sceneLoader.js'
 * @import { ShownScene } from './shownScene.js'
 * @import { EditorState } from './state.js'
 * @import { Warnings } from './warnings.js'
 *
 * @typedef {{sentences: string[], warns: boolean}} Note
 * @typedef {object} StatusOptions
 * @property {EditorState} state
 * @property {ShownScene} scene
 * @property {SceneLoader} loader
 * @property {Modes} modes
 * @property {Warnings} warnings
 * @property {() => Note} pathNote what the user should know about where the path comes from; empty = nothing
 * @property {() => void} unlock makes edits count where they do not
 */
import { make } from './dom.js'
import { setsTheTime, sourceTimes } from './time.js'
import { resampleDocument } from './trajectory.js'
import { word } from './words.js'

export class Status {
  /** @param {StatusOptions} options */
  constructor({ state, scene, loader, modes, warnings, pathNote, unlock }) {
    this.state = state
    this.scene = scene
    this.loader = loader
    this.modes = modes
    this.warnings = warnings
    this.pathNote = pathNote
    this.unlock = unlock
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
    const locked = !!state.lock()
    if (state.refused && !locked) say(state.refused, 'ex4d-warn')
    const note = this.note(locked && !!state.refused)
    if (note) parts.push(note)
    if (locked) parts.push(link('Edit here instead', this.unlock))
    if (clip && loader.note) say(loader.note, 'ex4d-warn')
    const scene = state.scene
    if (scene && scene.frames > 1) {
      const beyond = setsTheTime(state.document) && latest(state.document, scene.frames) > scene.frames - 1 + 1e-9
      if (beyond) say(`⚠ The path runs on beyond the clip, which ends at ${scene.frames - 1}.`, 'ex4d-bad')
      else if (!setsTheTime(state.document) && scene.frames !== state.document.frames)
        parts.push(this.lengths(scene.frames))
    }
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

  /** Where the path comes from, if that is to be known. @param {boolean} refused an edit was tried that would not count */
  note(refused) {
    const { sentences, warns } = this.pathNote()
    if (!sentences.length) return null
    const text = [...(refused ? ['Not changed.'] : []), ...sentences].map((each) => word(each)).join(' ')
    const kind = refused ? 'ex4d-bad' : warns ? 'ex4d-warn' : ''
    return make('span', { class: `ex4d-whole ${kind}`, title: text }, [text])
  }

  /** Path and clip differ in length. @param {number} frames of the clip */
  lengths(frames) {
    const { state } = this
    return make('span', { class: 'ex4d-warn' }, [
      `The path has ${state.document.frames} frames, the clip ${frames}. `,
      link('Fit the path', () => {
        state.edit('length', (document) => resampleDocument(document, frames))
        state.settle()
      })
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

/** The latest time of a path. @param {PathDocument} document @param {number} clipFrames */
const latest = (document, clipFrames) =>
  Math.max(
    ...sourceTimes(
      document,
      clipFrames,
      Array.from({ length: document.frames }, (_, i) => i)
    )
  )

/** A button in the line of text. @param {string} text @param {() => void} run */
const link = (text, run) => make('button', { type: 'button', class: 'ex4d-link', onclick: run }, [text])

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
