/** The editor's colours: ComfyUI's own for surfaces and text, a few fixed ones for what is drawn in space. */

export const COLOURS = {
  path: '#f2a33c',
  target: '#3fc7b4',
  pivot: '#d66bd0',
  source: '#9aa4b2',
  axes: ['#ec5f5f', '#7cc653', '#5a93f5'],
  hole: '#e0564f'
}
/**
 * The same on light surfaces, dark enough to read as text. The views stay dark in every theme, as a screening room
 * does.
 */
export const ON_LIGHT = { path: '#7d4500', target: '#005a50', axes: ['#a31f1f', '#2c6110', '#1f4fb0'], bad: '#a31f1f' }

/** Surface and text colours of the theme that is on, for the canvases. */
export class Theme {
  constructor() {
    this.light = false
    this.text = '#ddd'
    this.faint = '#999'
    this.line = '#4e4e4e'
    this.field = '#222'
    this.path = COLOURS.path
    this.target = COLOURS.target
  }

  /**
   * Takes the colours that an editor has now, and tells its style sheet whether they are light.
   * @param {Element} element
   */
  read(element) {
    const style = getComputedStyle(element)
    const read = (/** @type {string} */ name, /** @type {string} */ otherwise) =>
      style.getPropertyValue(name).trim() || otherwise
    const [r, g, b] = channels(read('--comfy-menu-bg', '#353535'))
    this.light = 0.3 * r + 0.59 * g + 0.11 * b > 140
    this.text = read('--input-text', '#ddd')
    this.faint = read('--descrip-text', '#999')
    this.line = read('--border-color', '#4e4e4e')
    this.path = (this.light ? ON_LIGHT : COLOURS).path
    this.target = (this.light ? ON_LIGHT : COLOURS).target
    element.classList.toggle('ex4d-light', this.light)
    this.field = read('--e-field', '#222')
  }
}

/** @param {string} colour #rgb, #rrggbb or rgb() @returns {number[]} */
function channels(colour) {
  const hex = colour.match(/^#([0-9a-f]{3,8})$/i)?.[1]
  if (hex) {
    const wide = hex.length < 6 ? [...hex].map((c) => c + c).join('') : hex
    return [0, 2, 4].map((i) => parseInt(wide.slice(i, i + 2), 16))
  }
  return (colour.match(/[\d.]+/g) ?? ['53', '53', '53']).slice(0, 3).map(Number)
}
