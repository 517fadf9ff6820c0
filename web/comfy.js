/** ComfyUI's page as far as the pack uses it: its two objects. */

// @ts-ignore served by ComfyUI
import { app as page } from '../../scripts/app.js'
// @ts-ignore served by ComfyUI
import { api as server } from '../../scripts/api.js'

/** The frontend's application; its members differ between versions. @type {any} */
export const app = page
/** The way to the server. @type {any} */
export const api = server
