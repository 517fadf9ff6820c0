/**
 * The editor's words in the page's language. Sources speak English; where text enters the page (`make` in dom.js, and the
 * labels drawn on canvases), `word` looks it up. What has no translation stays as it is.
 */
import ja from './words/ja.js'
import ko from './words/ko.js'
import zh from './words/zh.js'

/** Tables from English to a language; {} in a sentence is what is filled in, {0} and so on its places. */
export const LANGUAGES = /** @type {Record<string, Record<string, string>>} */ ({ zh, ja, ko })

/** Looked up already, of the language that is spoken. @type {Map<string, string>} */
const known = new Map()
/** Sentences with places to fill, the most exact first. @type {{pattern: RegExp, translated: string}[]} */
let patterns = []
/** @type {Record<string, string> | null} */
let table = null
/** Lookups that are remembered; numbers that change while something moves would fill any memory. */
const REMEMBERED = 500

/**
 * Chooses the language: the host's code for it, such as "zh". English where there is no table, as for "zh-TW", in which the
 * host says the nodes' names in English too.
 * @param {string} [code]
 */
export function speak(code = '') {
  table = LANGUAGES[code] ?? null
  known.clear()
  patterns = Object.entries(table ?? {})
    .filter(([text]) => text.includes('{}'))
    .sort(([a], [b]) => b.length - a.length)
    .map(([text, translated]) => ({
      pattern: new RegExp(`^${text.split('{}').map(escaped).join('(.*)')}$`, 's'),
      translated
    }))
}

/** A text in the language that is spoken. @param {string} text */
export function word(text) {
  if (!table) return text
  const found = known.get(text) ?? table[text] ?? filled(text)
  if (known.size > REMEMBERED) known.clear()
  known.set(text, found)
  return found
}

/** A text that a sentence with places fits, each place looked up on its own. @param {string} text @returns {string} */
function filled(text) {
  for (const { pattern, translated } of patterns) {
    const match = pattern.exec(text)
    if (match) return translated.replace(/\{(\d)\}/g, (_, place) => word(match[Number(place) + 1]))
  }
  return text
}

/** @param {string} text */
const escaped = (text) => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
