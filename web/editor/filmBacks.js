/**
 * Lenses in millimetres, as `ex4d_core/camera_io/film.py` has them: the height of the film back decides, whatever the
 * picture's shape.
 */
import { degrees, radians } from './math.js'

/** Width and height in millimetres, by name. @type {Readonly<Record<string, [number, number]>>} */
export const FILM_BACKS = {
  'full frame 36x24': [36, 24],
  'large format 36.7x25.54': [36.7, 25.54],
  '65 mm 52.48x23.01': [52.48, 23.01],
  'super 35 24.89x18.66': [24.89, 18.66],
  'academy 21.95x16': [21.95, 16],
  'APS-C 23.6x15.7': [23.6, 15.7],
  'four thirds 17.3x13': [17.3, 13],
  '1 inch 13.2x8.8': [13.2, 8.8],
  'super 16 12.52x7.41': [12.52, 7.41]
}
export const FULL_FRAME = Object.keys(FILM_BACKS)[0]

/** Focal length in millimetres. @param {number} fov vertical, degrees @param {string} filmBack */
export const millimetresOf = (fov, filmBack) => FILM_BACKS[filmBack][1] / 2 / Math.tan(radians(fov) / 2)

/** Vertical field of view in degrees. @param {number} millimetres @param {string} filmBack */
export const fovOfMillimetres = (millimetres, filmBack) =>
  degrees(2 * Math.atan(FILM_BACKS[filmBack][1] / (2 * millimetres)))
