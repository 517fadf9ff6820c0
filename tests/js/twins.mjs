// What the browser believes, as one line of JSON, for tests/core/test_javascript_twins.py: node twins.mjs < DOCUMENTS
import { readFileSync } from 'node:fs'
import { FILM_BACKS, fovOfMillimetres, millimetresOf } from '../../web/editor/filmBacks.js'
import { IDENTITY_POSE, isIdentity } from '../../web/editor/math.js'
import { FPS_RANGE, KEY_FIELDS, SHORTEST, TOP_FIELDS } from '../../web/editor/pathDocument.js'
import { LEVELLING } from '../../web/editor/poses.js'
import { MAGIC } from '../../web/editor/preview.js'
import { shotRange } from '../../web/editor/renderer.js'
import { MEMORY_MAGIC } from '../../web/editor/sceneMemory.js'
import { defaultIntrinsics } from '../../web/editor/state.js'
import {
  BAKE_TOLERANCE,
  DEFAULT_RADIUS,
  EASES,
  INTERPOLATIONS,
  MAX_FRAMES,
  PRESETS,
  TrajectoryError,
  VERSION,
  parseDocument
} from '../../web/editor/trajectory.js'

/** The parsed document, or null where it is refused. */
function parsed(document) {
  try {
    return parseDocument(document)
  } catch (error) {
    if (error instanceof TrajectoryError) return null
    throw error
  }
}

const leaning = (amount) => IDENTITY_POSE.map((v, i) => (i === 3 ? amount : v))
const constants = {
  version: VERSION,
  eases: EASES,
  interpolations: INTERPOLATIONS,
  max_frames: MAX_FRAMES,
  fps_range: FPS_RANGE,
  default_radius: DEFAULT_RADIUS,
  shortest: SHORTEST,
  levelling: LEVELLING,
  bake_tolerance: BAKE_TOLERANCE,
  fields: TOP_FIELDS,
  keyframe_fields: KEY_FIELDS,
  presets: PRESETS.map(({ name, label, turns, params }) => ({ name, label, turns, params })),
  default_lens: defaultIntrinsics(832, 480),
  preview_magic: MAGIC,
  memory_magic: MEMORY_MAGIC,
  shot_range: [0, 100, 1e5].map((border_depth) => shotRange({ border_depth })),
  film_backs: Object.entries(FILM_BACKS),
  fovs: Object.keys(FILM_BACKS).map((name) => fovOfMillimetres(35, name)),
  millimetres: Object.keys(FILM_BACKS).map((name) => millimetresOf(fovOfMillimetres(35, name), name)),
  identity: [0.9e-4, 1.1e-4].map((amount) => isIdentity(leaning(amount)))
}
const documents = JSON.parse(readFileSync(0, 'utf8'))
console.log(JSON.stringify({ constants, documents: documents.map(parsed) }))
