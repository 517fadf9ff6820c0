/** Which samples of a preview frame become vertices, and the triangles between them. */

/** Columns of quads per band of the grid. */
const BAND = 12
/** The grid on the ground reaches so many cells from its middle. */
export const GROUND_CELLS = 12

/**
 * Samples along one side that become vertices. A coarse grid keeps the rim and its inner neighbours, or the back plate
 * would swallow the picture's edge. The shader of the vertices counts the same way.
 * @param {number} count samples of that side @param {number} step 1 = all of them
 */
export function gridStops(count, step) {
  const stops = new Set([0, 1, count - 2, count - 1])
  for (let i = 0; i < count - 1; i += step) stops.add(i)
  return [...stops].filter((i) => i >= 0).sort((a, b) => a - b)
}

/**
 * Triangles of the grid as vertex indices, back plate last; `step` 2 is the coarse grid for slow machines. Vertices are
 * counted row by row; paper style's extra one, the middle of the back plate, comes after them.
 * Both faces of a quad end at its upper right corner, which carries the quad's validity.
 * @param {number} width @param {number} height @param {'released' | 'paper'} style @param {number} step
 */
export function gridIndices(width, height, style, step = 1) {
  const columns = gridStops(width, step).length
  const rows = gridStops(height, step).length
  const quads = (columns - 1) * (rows - 1)
  const rim = 2 * (columns + rows - 2)
  const size = 6 * quads + (style === 'paper' ? 3 * rim : 6)
  // The largest short index means something else to WebGL.
  const out = columns * rows < 0xffff ? new Uint16Array(size) : new Uint32Array(size)
  let n = 0
  // Narrow bands keep a row of vertices in the processor's small vertex cache until the row below needs it.
  for (let band = 0; band + 1 < columns; band += BAND) {
    const stop = Math.min(band + BAND, columns - 1)
    for (let r = 0; r + 1 < rows; r++) {
      for (let c = band; c < stop; c++) {
        const upperLeft = r * columns + c
        const upperRight = upperLeft + 1
        const lowerLeft = upperLeft + columns
        const lowerRight = lowerLeft + 1
        out.set([upperLeft, lowerLeft, upperRight, lowerLeft, lowerRight, upperRight], n)
        n += 6
      }
    }
  }
  const corners = [0, columns - 1, (rows - 1) * columns, rows * columns - 1]
  if (style === 'released') {
    out.set([corners[1], corners[0], corners[3], corners[3], corners[0], corners[2]], n)
    return out
  }
  const around = []
  for (let x = 0; x < columns - 1; x++) around.push(x)
  for (let y = 0; y < rows - 1; y++) around.push(y * columns + columns - 1)
  for (let x = columns - 1; x > 0; x--) around.push(corners[2] + x)
  for (let y = rows - 1; y > 0; y--) around.push(y * columns)
  for (let i = 0; i < around.length; i++, n += 3)
    out.set([around[i], around[(i + 1) % around.length], columns * rows], n)
  return out
}

/** Lines of a square ground grid around the origin in the plane y = 0. */
export function groundLines() {
  const out = []
  // Short pieces, so that the fade is smooth along a line.
  for (let i = -GROUND_CELLS; i <= GROUND_CELLS; i++) {
    for (let j = -GROUND_CELLS; j < GROUND_CELLS; j++) out.push(i, 0, j, i, 0, j + 1, j, 0, i, j + 1, 0, i)
  }
  return new Float32Array(out)
}
