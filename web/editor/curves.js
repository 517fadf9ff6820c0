// Curves through keyframes: time warps, and one cubic whose tangents make the interpolation mode; the twin of
// ex4d_core/trajectory/curves.py. No side effects.

/** @param {number} u @param {string} ease */
export function eased(u, ease) {
  if (ease === 'in') return u * u
  if (ease === 'out') return u * (2 - u)
  if (ease === 'in-out') return u * u * (3 - 2 * u)
  return u
}

/** @param {number[]} times @param {number[]} keyTimes @param {string[]} eases */
export function segmentsOf(times, keyTimes, eases) {
  /** @type {number[]} */
  const segment = []
  /** @type {number[]} */
  const share = []
  let i = 0
  for (const time of times) {
    while (i < keyTimes.length - 2 && time >= keyTimes[i + 1]) i++
    segment.push(i)
    if (keyTimes.length === 1) {
      share.push(0)
      continue
    }
    const u = Math.min(1, Math.max(0, (time - keyTimes[i]) / (keyTimes[i + 1] - keyTimes[i])))
    share.push(eased(u, eases[i + 1]))
  }
  return { segment, share }
}

/**
 * Slopes at the keys, per frame; see ex4d_core/trajectory/curves.py.
 * @param {number[]} t
 * @param {number[][]} values
 * @param {string} mode
 * @returns {number[][]}
 */
function tangents(t, values, mode) {
  const last = values.length - 1
  const secant = values.slice(1).map((v, i) => v.map((x, c) => (x - values[i][c]) / (t[i + 1] - t[i])))
  if (last === 1) return [secant[0], secant[0]]
  const slope = values.map((v, i) => {
    if (i === 0 || i === last) return v
    const [h0, h1] = [t[i] - t[i - 1], t[i + 1] - t[i]]
    return v.map((_, c) => (h1 * secant[i - 1][c] + h0 * secant[i][c]) / (h1 + h0))
  })
  slope[0] = secant[0].map((s, c) => 2 * s - slope[1][c])
  slope[last] = secant[last - 1].map((s, c) => 2 * s - slope[last - 1][c])
  if (mode !== 'smooth') return slope
  return slope.map((v, i) =>
    v.map((x, c) => {
      const before = secant[Math.max(i - 1, 0)][c]
      const after = secant[Math.min(i, last - 1)][c]
      if (before * after <= 0 || x * before < 0) return 0
      const bound = 3 * Math.min(Math.abs(before), Math.abs(after))
      return Math.min(bound, Math.max(-bound, x))
    })
  )
}

/**
 * Values between keys.
 * @param {number[]} segment
 * @param {number[]} share
 * @param {number[]} keyTimes
 * @param {number[][]} values
 * @param {string} mode
 * @returns {number[][]}
 */
export function curve(segment, share, keyTimes, values, mode) {
  if (values.length === 1) return segment.map(() => [...values[0]])
  if (mode === 'linear') {
    return segment.map((k, i) => values[k].map((a, c) => a + (values[k + 1][c] - a) * share[i]))
  }
  const slope = tangents(keyTimes, values, mode)
  return segment.map((k, i) => {
    const u = share[i]
    const [u2, u3, width] = [u * u, u * u * u, keyTimes[k + 1] - keyTimes[k]]
    return values[k].map(
      (a, c) =>
        a +
        (values[k + 1][c] - a) * (3 * u2 - 2 * u3) +
        width * (slope[k][c] * (u3 - 2 * u2 + u) + slope[k + 1][c] * (u3 - u2))
    )
  })
}
