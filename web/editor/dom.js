/** Elements, icons and the canvas that follows its box. Text of elements is said in the page's language. */
import { word } from './words.js'

/** Properties that people read. */
const READ = new Set(['title', 'aria-label'])

/**
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {Record<string, any>} [properties] `class`, `on...` listeners, `aria-*`/`data-*` attributes, else properties
 * @param {(Node | string | null | undefined)[]} [children] @returns {HTMLElementTagNameMap[K]}
 */
export function make(tag, properties = {}, children = []) {
  const element = document.createElement(tag)
  for (const [name, given] of Object.entries(properties)) {
    const value = READ.has(name) ? word(given) : given
    if (name === 'class') element.className = value
    else if (name.startsWith('on')) element.addEventListener(name.slice(2), value)
    else if (name.includes('-') || name === 'role' || name === 'for') element.setAttribute(name, String(value))
    else /** @type {any} */ (element)[name] = value
  }
  for (const child of children)
    if (child !== null && child !== undefined) element.append(typeof child === 'string' ? word(child) : child)
  return element
}

/** Line icons on a 16-pixel grid. @type {Record<string, string>} */
const ICONS = {
  play: 'M5 3.2v9.6l8-4.8z',
  pause: 'M5 3.5v9M11 3.5v9',
  loop: 'M3 8a4 4 0 0 1 4-4h6M10.5 1.5 13 4l-2.5 2.5M13 8a4 4 0 0 1-4 4H3M5.5 9.5 3 12l2.5 2.5',
  clock: 'M8 1.8a6.2 6.2 0 1 0 0 12.4A6.2 6.2 0 0 0 8 1.8zM8 4.5V8l2.5 1.5',
  closed: 'M8 3.5a5 5 0 1 0 0 10 5 5 0 0 0 0-10zM8 1.5l2 2-2 2-2-2z',
  first: 'M4 3.5v9M12.5 3.5 7 8l5.5 4.5z',
  previous: 'M10 3.5 5 8l5 4.5',
  next: 'M6 3.5 11 8l-5 4.5',
  key: 'M8 2.5 13.5 8 8 13.5 2.5 8z',
  keyAdd: 'M6.5 4 11 8.5 6.5 13 2 8.5zM12.5 2v5M10 4.5h5',
  copy: 'M5.5 5.5h8v8h-8zM10.5 5.5v-3h-8v8h3',
  trash: 'M3 4.5h10M6.5 4.5v-2h3v2M4.5 4.5l.6 9h5.8l.6-9',
  undo: 'M5.5 3 2.5 6l3 3M2.5 6h7a4 4 0 0 1 0 8H6',
  redo: 'M10.5 3l3 3-3 3M13.5 6h-7a4 4 0 0 0 0 8H10',
  snap: 'M3 3v5a5 5 0 0 0 10 0V3h-3v5a2 2 0 0 1-4 0V3zM3 5.5h3M10 5.5h3',
  split: 'M2.5 3.5h11v9h-11zM8 3.5v9',
  swap: 'M3 5.5h9M9.5 3 12 5.5 9.5 8M13 10.5H4M6.5 8 4 10.5 6.5 13',
  expand: 'M9.5 2.5h4v4M13.5 2.5 9 7M6.5 13.5h-4v-4M2.5 13.5 7 9',
  shrink: 'M13.5 6.5h-4v-4M9.5 6.5l4-4M2.5 9.5h4v4M6.5 9.5l-4 4',
  help: 'M6 6a2 2 0 1 1 2.8 1.8c-.6.3-.8.7-.8 1.4M8 11.5v.3M8 1.8a6.2 6.2 0 1 0 0 12.4A6.200 6.200 0 0 0 8 1.8z',
  points: 'M4 4h.01M8 3h.01M12 4.5h.01M3 8h.01M7 7.5h.01M11.5 9h.01M4.5 12h.01M8.5 12.5h.01M13 12.5h.01',
  pivot: 'M8 1.5v4M8 10.5v4M1.5 8h4M10.5 8h4M8 5.5a2.5 2.5 0 1 0 0 5 2.5 2.5 0 0 0 0-5z',
  fly: 'M2 8.5 14 2.5 9.5 14 7.5 9z',
  frame: 'M2.5 5.5v-3h3M10.5 2.5h3v3M13.5 10.5v3h-3M5.5 13.5h-3v-3',
  fit: 'M2.5 8h11M5 5.5 2.5 8 5 10.5M11 5.5 13.5 8 11 10.5',
  close: 'M4 4l8 8M12 4l-8 8',
  warn: 'M8 2.5 14.5 13.5h-13zM8 6.5v3.5M8 11.8v.2'
}

/** @param {string} name @returns {SVGSVGElement} */
export function icon(name) {
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg')
  svg.setAttribute('viewBox', '0 0 16 16')
  svg.setAttribute('aria-hidden', 'true')
  const path = document.createElementNS('http://www.w3.org/2000/svg', 'path')
  path.setAttribute('d', ICONS[name] ?? '')
  svg.append(path)
  return svg
}

/**
 * @param {string} name icon
 * @param {string} title what it does, with its key
 * @param {(event: MouseEvent) => void} act
 * @param {string} [text]
 */
export function button(name, title, act, text) {
  return make(
    'button',
    {
      type: 'button',
      class: text ? 'ex4d-button ex4d-wide' : 'ex4d-button',
      title,
      'aria-label': title,
      onclick: act,
      tabIndex: -1
    },
    [name ? icon(name) : null, text ?? null]
  )
}

/** A canvas that keeps as many pixels as its box has on the screen, zoomed graph and dense displays included. */
export class Surface {
  /**
   * @param {string} label for screen readers
   * @param {boolean} software draw with the processor: faster where the graphics are emulated
   * @param {number} most largest side in pixels
   */
  constructor(label, software, most = 2048) {
    this.canvas = make('canvas', { class: 'ex4d-canvas', role: 'img', 'aria-label': label })
    this.context = /** @type {CanvasRenderingContext2D} */ (
      this.canvas.getContext('2d', { alpha: false, willReadFrequently: software })
    )
    this.most = most
    /** Canvas pixels per CSS pixel of the editor's own layout. */
    this.unit = 1
    /** Longest side in pixels for now; lowered while the machine is too slow. */
    this.limit = Infinity
  }

  /** Adapts to the box. @returns {boolean} false while the box has no size */
  fit() {
    const { clientWidth, clientHeight } = this.canvas
    if (clientWidth < 2 || clientHeight < 2) return false
    const zoom = this.canvas.getBoundingClientRect().width / clientWidth || 1
    const wanted = Math.max(0.5, Math.min(zoom, 3)) * (globalThis.devicePixelRatio || 1)
    const unit = Math.min(wanted, Math.min(this.most, this.limit) / Math.max(clientWidth, clientHeight))
    const width = Math.max(2, Math.round(clientWidth * unit))
    const height = Math.max(2, Math.round(clientHeight * unit))
    if (this.canvas.width !== width || this.canvas.height !== height) {
      this.canvas.width = width
      this.canvas.height = height
    }
    this.unit = width / clientWidth
    return true
  }

  /** Pointer position in canvas pixels. @param {{clientX: number, clientY: number}} event */
  place(event) {
    const box = this.canvas.getBoundingClientRect()
    return {
      x: ((event.clientX - box.left) * this.canvas.width) / (box.width || 1),
      y: ((event.clientY - box.top) * this.canvas.height) / (box.height || 1)
    }
  }
}

/** Ends the drag under way. @type {(() => void) | null} */
let stopCurrent = null

/** Ends the drag that is under way, if any, as if the pointer had been lifted. */
export function endDrag() {
  stopCurrent?.()
}

/**
 * Pointer drags on an element: mouse, pen and touch alike. `begin` returns what a move does, or null to ignore the
 * press. A drag ends when the pointer is lifted, cancelled or captured by another, and when the window loses the focus.
 * A second finger ends it too; both together then pinch.
 * @param {HTMLElement} element
 * @param {(event: PointerEvent) => {move?: (event: PointerEvent) => void, end?: () => void} | null} begin
 * @param {(dx: number, dy: number, factor: number) => void} [pinch] way of the fingers' middle in CSS pixels, growth of
 *   their distance
 */
export function onDrag(element, begin, pinch) {
  /** Fingers on the element. @type {Map<number, PointerEvent>} */
  const fingers = new Map()
  /**
   * Listens to a pointer until it is gone.
   * @param {PointerEvent} event
   * @param {(event: PointerEvent) => void} move
   * @param {() => void} [end]
   */
  const track = (event, move, end) => {
    const ends = new AbortController()
    const stop = () => {
      if (ends.signal.aborted) return
      ends.abort()
      if (stopCurrent === stop) stopCurrent = null
      end?.()
    }
    const { signal } = ends
    const own = (/** @type {(event: PointerEvent) => void} */ act) => (/** @type {PointerEvent} */ next) => {
      if (next.pointerId !== event.pointerId) return
      next.stopPropagation()
      act(next)
    }
    try {
      element.setPointerCapture(event.pointerId)
    } catch {
      // The pointer is up again already.
    }
    element.addEventListener('pointermove', own(move), { signal })
    for (const name of /** @type {const} */ (['pointerup', 'pointercancel', 'lostpointercapture']))
      element.addEventListener(name, own(stop), { signal })
    window.addEventListener('blur', stop, { signal })
    return stop
  }
  element.addEventListener('pointerdown', (event) => {
    event.stopPropagation()
    if (pinch && event.pointerType === 'touch') {
      fingers.set(event.pointerId, event)
      track(
        event,
        (next) => {
          const before = [...fingers.values()]
          fingers.set(event.pointerId, next)
          if (before.length === 2) pinch(...pinched(before, [...fingers.values()]))
        },
        () => fingers.delete(event.pointerId)
      )
      if (fingers.size > 1) {
        event.preventDefault()
        endDrag()
        return
      }
    }
    const drag = begin(event)
    if (!drag) return
    event.preventDefault()
    endDrag()
    let moved = false
    const { clientX, clientY } = event
    stopCurrent = track(
      event,
      (next) => {
        if (!moved && Math.hypot(next.clientX - clientX, next.clientY - clientY) < 3) return
        moved = true
        drag.move?.(next)
      },
      () => drag.end?.()
    )
  })
}

/**
 * What two fingers did between two moments.
 * @param {{clientX: number, clientY: number}[]} before
 * @param {{clientX: number, clientY: number}[]} after
 * @returns {[number, number, number]}
 */
export function pinched([a, b], [c, d]) {
  const apart = (/** @type {typeof a} */ p, /** @type {typeof a} */ q) =>
    Math.max(1, Math.hypot(p.clientX - q.clientX, p.clientY - q.clientY))
  return [
    (c.clientX + d.clientX - a.clientX - b.clientX) / 2,
    (c.clientY + d.clientY - a.clientY - b.clientY) / 2,
    apart(c, d) / apart(a, b)
  ]
}

/**
 * Wheel steps, about 1 a notch; a trackpad's pinch arrives as a wheel with ctrl and counts more.
 * @param {WheelEvent} event
 */
export function wheelSteps(event) {
  const lines = event.deltaMode === 1 ? event.deltaY / 3 : event.deltaMode === 2 ? event.deltaY : event.deltaY / 100
  return Math.max(-3, Math.min(3, lines * (event.ctrlKey ? 4 : 1)))
}
