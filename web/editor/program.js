/**
 * Compiles and links GLSL.
 *
 * @typedef {{program: WebGLProgram, at: (name: string) => WebGLUniformLocation | null}} Program
 */

/**
 * @param {WebGL2RenderingContext} gl
 * @param {string} vertex
 * @param {string} fragment
 * @param {string[]} [captured] outputs for transform feedback
 * @returns {Program}
 */
export function buildProgram(gl, vertex, fragment, captured) {
  const program = gl.createProgram()
  for (const [kind, text] of /** @type {[number, string][]} */ ([
    [gl.VERTEX_SHADER, vertex],
    [gl.FRAGMENT_SHADER, fragment]
  ])) {
    const shader = /** @type {WebGLShader} */ (gl.createShader(kind))
    gl.shaderSource(shader, text)
    gl.compileShader(shader)
    gl.attachShader(program, shader)
    if (!gl.getShaderParameter(shader, gl.COMPILE_STATUS) && !gl.isContextLost()) {
      throw new Error(`EX-4D shader: ${gl.getShaderInfoLog(shader)}`)
    }
    gl.deleteShader(shader)
  }
  if (captured) gl.transformFeedbackVaryings(program, captured, gl.INTERLEAVED_ATTRIBS)
  gl.linkProgram(program)
  if (!gl.getProgramParameter(program, gl.LINK_STATUS) && !gl.isContextLost()) {
    throw new Error(`EX-4D program: ${gl.getProgramInfoLog(program)}`)
  }
  /** @type {Map<string, WebGLUniformLocation | null>} */
  const places = new Map()
  const at = (/** @type {string} */ name) => {
    if (!places.has(name)) places.set(name, gl.getUniformLocation(program, name))
    return /** @type {WebGLUniformLocation | null} */ (places.get(name))
  }
  return { program, at }
}
