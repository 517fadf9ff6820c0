/** GLSL of the editor's mesh: unprojection from textures, the occlusion rule, shading, ground lines. */

const PRECISION = `#version 300 es
precision highp float;
precision highp int;
precision highp usampler2D;
precision highp sampler2D;
`

/** Depth at a sample, border ring included, and its point; shared by the mesh and the occlusion pass. */
const UNPROJECT = `
uniform usampler2D depthLevels;
uniform ivec2 size;
uniform vec2 inverseDepth;   // (per level, offset): 1/z = level * x + y
uniform float borderDepth;
uniform float pixelOffset;   // 0 released, 0.5 paper
uniform vec4 source;         // fx fy cx cy at preview size
float depthAt(ivec2 p) {
  if (p.x <= 0 || p.y <= 0 || p.x >= size.x - 1 || p.y >= size.y - 1) return borderDepth;
  float level = float(texelFetch(depthLevels, p, 0).r);
  return 1.0 / (level * inverseDepth.x + inverseDepth.y);
}
vec3 pointAt(ivec2 p) {
  float z = depthAt(p);
  return vec3((vec2(p) + pixelOffset - source.zw) / source.xy * z, z);
}
`

export const fullScreenVertex = `${PRECISION}
void main() {
  gl_Position = vec4(gl_VertexID == 1 ? 3.0 : -1.0, gl_VertexID == 2 ? 3.0 : -1.0, 0.0, 1.0);
}`

/**
 * One texel per sample. Red: released = alpha of the vertex, paper = validity of the quad to its lower right.
 * Green (paper) = some quad around the vertex is valid.
 */
export const occlusionFragment = `${PRECISION}${UNPROJECT}
uniform float angleLimit;    // 4 cos^2(min angle)
uniform float maxJump;
uniform bool paper;
out vec4 result;
bool passes(vec3 a, vec3 b, vec3 c) {
  float ab = dot(a - b, a - b), bc = dot(b - c, b - c), ca = dot(c - a, c - a);
  float low = min(min(ab, bc), ca), high = max(max(ab, bc), ca), middle = ab + bc + ca - low - high;
  float sum = middle + high - low;
  bool angle = sum * sum <= angleLimit * middle * high;
  if (!paper) return angle;
  float near = min(min(a.z, b.z), c.z), far = max(max(a.z, b.z), c.z);
  return angle && far - near <= maxJump;
}
bool upperLeft(ivec2 p) { return passes(pointAt(p), pointAt(p + ivec2(1, 0)), pointAt(p + ivec2(0, 1))); }
bool lowerRight(ivec2 p) {
  return passes(pointAt(p + ivec2(1, 0)), pointAt(p + ivec2(0, 1)), pointAt(p + ivec2(1, 1)));
}
bool inside(ivec2 p) { return p.x >= 0 && p.y >= 0 && p.x < size.x - 1 && p.y < size.y - 1; }
bool quad(ivec2 p) { return inside(p) && upperLeft(p) && lowerRight(p); }
void main() {
  ivec2 p = ivec2(gl_FragCoord.xy);
  if (paper) {
    bool own = quad(p);
    bool some = own || quad(p - ivec2(1, 0)) || quad(p - ivec2(0, 1)) || quad(p - ivec2(1, 1));
    result = vec4(own, some, 0.0, 1.0);
    return;
  }
  // Released: one failing face takes the alpha of its three corners. A vertex touches one, two, two and one face of the
  // quads to its lower right, lower left, upper right and upper left.
  ivec2 left = p - ivec2(1, 0), up = p - ivec2(0, 1), diagonal = p - ivec2(1, 1);
  bool clear = true;
  if (inside(p)) clear = clear && upperLeft(p);
  if (inside(left)) clear = clear && upperLeft(left) && lowerRight(left);
  if (inside(up)) clear = clear && upperLeft(up) && lowerRight(up);
  if (inside(diagonal)) clear = clear && lowerRight(diagonal);
  result = vec4(clear, clear, 0.0, 1.0);
}`

/**
 * Everything of a vertex that does not depend on the view, written once per clip frame and grid into a buffer. Faces of
 * a coarse grid are hidden where one of the fine faces they cover is: a jump in depth between two of its samples would
 * stretch into a sheet otherwise. The rim's own hidden faces do not count, or the picture would shrink.
 */
export const pointsVertex = `${PRECISION}${UNPROJECT}
uniform sampler2D colours;
uniform sampler2D occlusion;
uniform bool paper;
uniform int gridStep;
uniform ivec2 gridSize; // columns, rows of vertices
out vec3 position;
out vec4 colour;
out vec3 place;   // column, row, validity of the quad that ends here
const float RIM = 0.1; // pixels
float ruled(ivec2 p) { return texelFetch(occlusion, p, 0).r; }
/** The lowest of the rule's values from one sample to another, rim left out. */
float lowest(ivec2 first, ivec2 end) {
  float low = 1.0;
  first = max(first, paper ? 1 : 2);
  end = min(end, size - 3);
  for (int y = first.y; y <= end.y; y++) for (int x = first.x; x <= end.x; x++) low = min(low, ruled(ivec2(x, y)));
  return low;
}
/** Sample of the i-th of "count" columns or rows, out of "full" samples: gridStops in grid.js. */
int stopAt(int i, int count, int full) {
  if (gridStep == 1 || i < 2) return i;
  return i < count - 2 ? gridStep * (i - 1) : full - count + i;
}
void main() {
  gl_Position = vec4(0.0);
  if (gl_VertexID == gridSize.x * gridSize.y) {
    // Paper style's extra vertex: the middle of the back plate, always occluded.
    ivec2 last = size - 1;
    position = 0.25 * (pointAt(ivec2(0)) + pointAt(ivec2(last.x, 0)) + pointAt(ivec2(0, last.y)) + pointAt(last));
    colour = vec4(0.0);
    place = vec3(-1.0, -1.0, 0.0);
    return;
  }
  ivec2 cell = ivec2(gl_VertexID % gridSize.x, gl_VertexID / gridSize.x);
  ivec2 p = ivec2(stopAt(cell.x, gridSize.x, size.x), stopAt(cell.y, gridSize.y, size.y));
  position = pointAt(p);
  // Paper style's rim lies on pixel centres, of which rasterisers leave out those on the upper and right edge.
  if (paper) position.xy += RIM * (vec2(equal(p, size - 1)) - vec2(equal(p, ivec2(0)))) / source.xy * position.z;
  vec3 rgb = texelFetch(colours, p, 0).rgb;
  bool coarse = gridStep > 1 && p.x > 1 && p.y > 0 && p.x < size.x - 1 && p.y < size.y - 2;
  float alpha = paper ? 1.0 : ruled(p);
  if (coarse && !paper) alpha = min(alpha, lowest(p - (gridStep - 1), p + (gridStep - 1)));
  colour = vec4(rgb * alpha, alpha);
  // The upper right corner ends both faces of its quad, so it speaks for the quad.
  float valid = p.x > 0 ? ruled(p - ivec2(1, 0)) : 0.0;
  if (coarse && paper) valid = lowest(p - ivec2(gridStep, 0), p + ivec2(-1, gridStep - 1));
  place = vec3(p, valid);
}`

/** Transform feedback needs a fragment stage; it never runs. */
export const nothingFragment = `${PRECISION}
out vec4 result;
void main() { result = vec4(0.0); }`

/** @param {'released' | 'paper'} style */
export const meshVertex = (style) => `${PRECISION}
uniform mat4 clipFromWorld;
layout(location = 0) in vec3 position;
layout(location = 1) in vec4 vertexColour;
layout(location = 2) in vec3 vertexPlace;
out vec4 colour;
${style === 'paper' ? 'out vec2 place; flat out float quadValid;' : ''}
void main() {
  colour = vertexColour;
  ${style === 'paper' ? 'place = vertexPlace.xy; quadValid = vertexPlace.z;' : ''}
  gl_Position = clipFromWorld * vec4(position, 1.0);
}`

/** `face()` = colour, and whether it is seen. Released: by the alpha that vertices share. */
const RELEASED_FACE = `
in vec4 colour;
vec4 face() { return vec4(colour.rgb, colour.a * 255.0 > 125.0); }
float alpha() { return colour.a; }
`

/** Paper: by the quad. */
const PAPER_FACE = `
uniform sampler2D colours;
uniform sampler2D occlusion;
in vec4 colour;
in vec2 place;
flat in float quadValid;
const float TIE = 0.02; // pixels
vec4 face() {
  bool seen = quadValid > 0.5;
  mat2 spread = mat2(dFdx(place), dFdy(place));
  if (!seen && place.x >= 0.0 && abs(determinant(spread)) > 1e-9) {
    // A pixel centre exactly on a vertex belongs to up to six faces; ties go to the valid one.
    vec2 nearest = round(place);
    vec2 pixels = inverse(spread) * (place - nearest);
    if (dot(pixels, pixels) < TIE * TIE) {
      return vec4(texelFetch(colours, ivec2(nearest), 0).rgb, texelFetch(occlusion, ivec2(nearest), 0).g);
    }
  }
  return vec4(colour.rgb, seen);
}
float alpha() { return 1.0; }
`

/**
 * The visible side of a face. Modes: 0 colour, 1 mask, 2 colour over nothing (holes transparent), 3 scene (holes cut
 * away), 4 as 2, and colours do not fade towards holes. Each style has a program of its own: emulated graphics run both sides of every branch.
 * @param {'released' | 'paper'} style
 */
export const meshFragment = (style) => `${PRECISION}${style === 'paper' ? PAPER_FACE : RELEASED_FACE}
uniform int mode;
out vec4 result;
void main() {
  vec4 surface = face();
  bool seen = surface.a > 0.5;
  if (mode == 3) {
    if (!seen) discard;
    result = vec4(gl_FrontFacing ? surface.rgb : surface.rgb * 0.45, 1.0);
  } else if (mode == 1) result = vec4(vec3(seen), 1.0);
  else if (mode == 4) result = seen ? vec4(surface.rgb / alpha(), 1.0) : vec4(0.0);
  else result = seen ? vec4(surface.rgb, 1.0) : vec4(0.0, 0.0, 0.0, mode == 2 ? 0.0 : 1.0);
}`

/** The remembered surface: its colour, and inverse depth as the bits of a float, 0 where it shows its back. */
export const rememberedVertex = `${PRECISION}
uniform mat4 clipFromWorld;
layout(location = 0) in vec3 position;
layout(location = 1) in vec4 vertexColour;
out vec3 colour;
out float depth;
void main() {
  colour = vertexColour.rgb;
  gl_Position = clipFromWorld * vec4(position, 1.0);
  depth = gl_Position.w;
}`

export const rememberedFragment = `${PRECISION}
in vec3 colour;
in float depth;
layout(location = 0) out vec4 shown;
layout(location = 1) out uint nearness;
void main() {
  shown = vec4(colour, 1.0);
  nearness = gl_FrontFacing ? floatBitsToUint(1.0 / depth) : 0u;
}`

/**
 * A shot whose holes are filled from memory. The walk through what is solid is that of `numba_triangles.clear` in Python, in
 * the same steps.
 */
export const filledFragment = `${PRECISION}
precision highp usampler2DArray;
uniform sampler2D own;            // what the frame itself saw; alpha 0 = hole
uniform sampler2D layer;
uniform usampler2D nearness;
uniform usampler2D solids;        // of the frame: begin, end, moves
uniform usampler2DArray witnesses;
uniform vec4 cells[33];           // fx fy cx cy in cells, of the frame and of the witnesses
uniform mat4 toWitness[33];       // from the viewing camera
uniform int count;                // of witnesses
uniform float tolerance;
uniform float near;
uniform float scale;              // depth = scale / level
uniform int steps;
uniform vec4 lens;                // fx fy cx cy of the viewing camera, pixels
uniform float height;
uniform int mode;
out vec4 result;
vec2 depths(uvec3 solid) { return scale / max(vec2(solid.xy), 1e-3); }

/** Whether a witness saw through a place, or has it inside of something solid. */
void ask(vec3 place, out bool free, inout bool solid) {
  free = false;
  for (int k = 0; k < count; k++) {
    vec3 there = (toWitness[k + 1] * vec4(place, 1.0)).xyz;
    if (there.z <= near) continue;
    vec4 cell = cells[k + 1];
    ivec2 at = ivec2(floor(cell.xy * there.xy / there.z + cell.zw));
    if (any(lessThan(at, ivec2(0))) || any(greaterThanEqual(at, textureSize(witnesses, 0).xy))) continue;
    vec2 ends = depths(texelFetch(witnesses, ivec3(at, k), 0).xyz);
    if (there.z < ends.x * (1.0 - tolerance)) { free = true; return; }
    if (there.z > ends.x * (1.0 + tolerance) && there.z < ends.y * (1.0 + tolerance)) solid = true;
  }
}

/** Whether something solid stands before a depth on a ray. */
bool hidden(vec3 ray, float found) {
  float begin = near, end = found * (1.0 - 1.5 * tolerance);
  vec2 size = vec2(textureSize(solids, 0));
  vec3 way = mat3(toWitness[0]) * ray, from = toWitness[0][3].xyz;
  float z0 = from.z + begin * way.z, z1 = from.z + end * way.z;
  if (z0 <= near && z1 <= near) return false;
  if (z0 <= near) {
    begin = (near - from.z) / way.z;
    z0 = near;
  } else if (z1 <= near) {
    end = (near - from.z) / way.z;
    z1 = near;
  }
  vec2 start = cells[0].xy * (from.xy + begin * way.xy) / z0 + cells[0].zw;
  vec2 slope = cells[0].xy * (from.xy + end * way.xy) / z1 + cells[0].zw - start;
  // The part of the way that is in the picture.
  float low = 0.0, high = 1.0;
  for (int side = 0; side < 4; side++) {
    int axis = side >> 1;
    bool far = (side & 1) == 1;
    float fall = far ? slope[axis] : -slope[axis];
    float room = far ? size[axis] - 1e-4 - start[axis] : start[axis];
    if (fall < 0.0) low = max(low, room / fall);
    else if (fall > 0.0) high = min(high, room / fall);
    else if (room < 0.0) high = -1.0;
  }
  if (low >= high) return false;
  int last = min(steps, int(max(abs(slope.x), abs(slope.y)) * (high - low)) + 2) - 1;
  float i0 = 1.0 / z0, i1 = 1.0 / z1;
  for (int n = 0; n <= last; n++) {
    float w = low + (high - low) * float(n) / float(last);
    float z = 1.0 / mix(i0, i1, w);
    ivec2 at = ivec2(floor(start + w * slope));
    if (any(lessThan(at, ivec2(0))) || any(greaterThanEqual(at, ivec2(size)))) continue;
    uvec3 here = texelFetch(solids, at, 0).xyz;
    vec2 ends = depths(here) * (1.0 + tolerance);
    if (z <= ends.x) continue;
    bool solid = z < ends.y, free;
    if (solid && here.z != 0u) return true;
    float along = abs(way.z) > 1e-9 ? (z - from.z) / way.z : mix(begin, end, w);
    ask(ray * along, free, solid);
    if (solid && !free) return true;
  }
  return false;
}

void main() {
  ivec2 p = ivec2(gl_FragCoord.xy);
  vec4 surface = texelFetch(own, p, 0);
  if (surface.a < 0.5) {
    surface = vec4(0.0);
    float inverse = uintBitsToFloat(texelFetch(nearness, p, 0).r);
    vec3 ray = vec3((vec2(gl_FragCoord.x, height - gl_FragCoord.y) - lens.zw) / lens.xy, 1.0);
    if (inverse > 0.0 && !hidden(ray, 1.0 / inverse)) surface = vec4(texelFetch(layer, p, 0).rgb, 1.0);
  }
  result = mode == 1 ? vec4(vec3(surface.a), 1.0) : mode == 2 ? surface : vec4(surface.rgb, 1.0);
}`

/** The points of the mesh without its rim, as large as the pixels of the source that they are of. */
export const dotVertex = `${PRECISION}
uniform mat4 clipFromWorld;
uniform sampler2D colours;
uniform ivec2 size;
uniform float spread;    // distance between neighbours at depth 1
uniform float focal;     // of the view, pixels
uniform float largest;   // that the graphics draw
layout(location = 0) in vec3 position;
layout(location = 2) in vec3 vertexPlace;
out vec3 colour;
out float width;
const float ROUND = 1.42; // neighbours' discs meet in the middle of a quad, half its diagonal away
void main() {
  ivec2 p = ivec2(vertexPlace.xy);
  gl_Position = clipFromWorld * vec4(position, 1.0);
  bool rim = p.x <= 0 || p.y <= 0 || p.x >= size.x - 1 || p.y >= size.y - 1;
  if (rim || gl_Position.w <= 0.0) gl_Position = vec4(2.0, 2.0, 2.0, 1.0);
  colour = texelFetch(colours, max(p, ivec2(0)), 0).rgb;
  width = clamp(ROUND * position.z * spread * focal / gl_Position.w, 1.0, largest);
  gl_PointSize = width;
}`

export const dotFragment = `${PRECISION}
uniform int mode;
in vec3 colour;
in float width;
out vec4 result;
const float SMALL = 3.0; // pixels: no disc below
void main() {
  vec2 away = gl_PointCoord - 0.5;
  if (width > SMALL && dot(away, away) > 0.25) discard;
  result = vec4(mode == 1 ? vec3(1.0) : colour, 1.0);
}`

export const lineVertex = `${PRECISION}
uniform mat4 clipFromWorld;
uniform vec3 centre;
layout(location = 0) in vec3 position;
out float away;
void main() {
  away = length(position);
  gl_Position = clipFromWorld * vec4(centre + position, 1.0);
}`

export const lineFragment = `${PRECISION}
uniform vec4 tint;
uniform float reach;
in float away;
out vec4 result;
void main() {
  float alpha = tint.a * max(0.0, 1.0 - away / reach);
  result = vec4(tint.rgb * alpha, alpha);
}`
