// @ts-check
/** The line at the bottom: what is wrong, what to be aware of, else what is shown. */
import { make } from './dom.js'
import { resampleDocument } from './trajectory.js'

/** @typedef {import('./editor.js').Editor} Editor */

export class Status {
  /** @param {Editor} editor */
  constructor(editor) {
    this.editor = editor
    this.text = ''
    this.element = make('div', { class: 'ex4d-status', role: 'status', 'aria-live': 'polite' })
  }

  /** @returns {HTMLElement[]} */
  parts() {
    const { state, clip, warnings, host, loader, picking, flying } = this.editor
    /** @type {HTMLElement[]} */
    const parts = []
    const say = (/** @type {string} */ text, kind = '') =>
      parts.push(make('span', { class: kind, title: text }, [text]))
    if (state.problem) say(`${state.problem} The path shown is the last good one.`, 'ex4d-bad')
    if (state.refused) say(state.refused, 'ex4d-warn')
    const note = state.text.trim() ? '' : host.note?.()
    if (note) say(note, 'ex4d-warn')
    if (clip && loader.note) say(loader.note, 'ex4d-warn')
    const scene = state.scene
    if (scene && scene.frames > 1 && scene.frames !== state.document.frames) parts.push(this.lengths(scene.frames))
    const inside = ranges(warnings.inside)
    if (inside) say(`⚠ The camera enters the scene at ${inside}.`, 'ex4d-bad')
    const torn = ranges(warnings.holes.map((share) => share > warnings.holeLimit))
    if (torn) say(`⚠ More than ${Math.round(warnings.holeLimit * 100)} % holes at ${torn}.`, 'ex4d-warn')
    if (picking) say('Click what the camera should orbit around.')
    if (flying) say('Flying: W A S D, Q E, drag to look, Esc to land.')
    if (!parts.length) {
      const keys = `${state.document.keyframes.length} keys`
      if (state.document.source) say('A preset. Drag the camera, or any number, and it turns into keyframes.')
      else if (clip)
        say(
          `${keys} · ${clip.header.clip_frames} frames of ${clip.header.source.join('×')}, shown at ${clip.header.width}×${clip.header.height}`
        )
      else say(keys)
    }
    return parts
  }

  /** Path and clip differ in length. @param {number} frames of the clip */
  lengths(frames) {
    const { state } = this.editor
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
  return `frame${out.length > 1 || out[0].includes('–') ? 's' : ''} ${out.length > 4 ? `${out.slice(0, 4).join(', ')} …` : out.join(', ')}`
}
