/**
 * What the rest of the page leaves out while an editor needs the processor, which draws the page too where graphics are
 * emulated: the blurred shadows of nodes, drawn again with every frame of a canvas or film inside of them, take longer
 * than all else, and films in nodes have the editor's layers put together again with each of their frames.
 */

/** Something of the page that is left out while anyone asks for it. */
class Spared {
  /** @param {(on: boolean) => void} leaveOut leaves it out, or puts it back */
  constructor(leaveOut) {
    this.leaveOut = leaveOut
    /** @type {Set<object>} */
    this.askers = new Set()
  }

  /** @param {object} asker @param {boolean} wanted whether it asks, or asks no more */
  ask(asker, wanted) {
    const before = this.askers.size > 0
    if (wanted) this.askers.add(asker)
    else this.askers.delete(asker)
    const now = this.askers.size > 0
    if (now !== before) this.leaveOut(now)
  }
}

export const shadows = new Spared((on) => document.documentElement.classList.toggle('ex4d-hurry', on))

/** Films that stand still, with the rates at which they played. @type {Map<HTMLVideoElement, number>} */
const held = new Map()

/** Silent films stand still, and go on where they were. They are not paused, which would show their controls. */
export const films = new Spared((on) => {
  if (on)
    for (const film of document.querySelectorAll('video')) {
      if (film.paused || !film.muted) continue
      held.set(film, film.playbackRate)
      film.playbackRate = 0
    }
  else {
    for (const [film, rate] of held) if (film.playbackRate === 0) film.playbackRate = rate
    held.clear()
  }
})
