// The editor's words in other languages: every sentence of the sources is in every table, and no table has another.
import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'
import { PRESETS } from '../../web/editor/presets.js'
import { LANGUAGES, speak, word } from '../../web/editor/words.js'

const WEB = fileURLToPath(new URL('../../web', import.meta.url))
/** Sources without words, or whose words the host looks up: settings, looks, programs of the graphics card, names of film backs, refusals of a path, the languages themselves. */
const NO_WORDS = /(settings|style|shaders|theme|program|renderer|frameMesh|filmBacks|pathDocument|words)\.js$|words\//
/** What these are called with is for programs: labels of undo steps, names of extensions, what the console says. */
const SILENT = /^(edit|editKey|getExtension|error|warn|querySelector|querySelectorAll|closest|addEventListener)$/
/** Refusals of a path document are Python's sentences and stay in English, as all refusals of nodes do. */
const REFUSALS = /^(TrajectoryError|Error)$|^(number|integer|choice|refuseUnknown|vector|list)$/
/** Found in sources and no words of the page. */
const NAMES = new Set([
  'EX4D.CameraPath',
  'EX4D.Numbers',
  'EX4D.Previews',
  'EX4DCameraTrajectory',
  'Inter, system-ui, sans-serif',
  '11px Inter, system-ui, sans-serif',
  '{}px Inter, system-ui, sans-serif',
  'angle −000.0°', // measured, not shown
  'Delete',
  'Esc',
  'Home  End',
  'Ctrl + Z, Ctrl + Shift + Z'
])
/** In every table besides: what joins two parts, and labels of fields, which are parameters' names or as short. */
const ALSO = [
  '{} · {}',
  'frames',
  'roll',
  'fov',
  'clip',
  'reverse',
  ...new Set(PRESETS.flatMap(({ params }) => params.map(({ name }) => name)))
]
/** Sentences of which a language may leave something out: an English plural's "s", and a word for one of two things. */
const SHORTER = ['frame{} {}', "The camera {}'s path is shown after the node has run; until then this is the preset."]

/** A string, template or sum of both with {} for what is filled in; null for anything else. */
function text(node) {
  if (ts.isStringLiteralLike(node)) return node.text
  if (ts.isTemplateExpression(node))
    return node.head.text + node.templateSpans.map((span) => `{}${span.literal.text}`).join('')
  if (ts.isParenthesizedExpression(node)) return text(node.expression)
  if (ts.isBinaryExpression(node) && node.operatorToken.kind === ts.SyntaxKind.PlusToken) {
    const [left, right] = [text(node.left), text(node.right)]
    return left !== null && right !== null ? left + right : null
  }
  return null
}

/** Whether a text is something to read: several words, or one that begins like a sentence. */
const readable = (value) =>
  /[A-Za-z]{2,}/.test(value) &&
  (/^[A-Z][a-z]+$/.test(value) || /[A-Za-z]{2,}[^]* |[ ][^]*[A-Za-z]{2,}/.test(value.trim()))

/** Texts of a source that people read. */
function wordsOf(name) {
  const source = ts.createSourceFile(name, readFileSync(join(WEB, name), 'utf8'), ts.ScriptTarget.Latest, true)
  const found = []
  const visit = (node) => {
    if (ts.isCallExpression(node) || ts.isNewExpression(node)) {
      const called = ts.isPropertyAccessExpression(node.expression)
        ? node.expression.name.text
        : node.expression.getText()
      if (REFUSALS.test(called)) return
      if (SILENT.test(called)) return node.arguments?.forEach((part) => text(part) === null && visit(part))
    }
    if (ts.isImportDeclaration(node)) return
    // What stands in an expression is looked into; what a property is called is not.
    if (ts.isPropertyAssignment(node)) {
      if (node.name.getText() === 'class' || node.name.getText() === 'style') return
      return visit(node.initializer)
    }
    if (ts.isVariableDeclaration(node) && /^(ICONS|STYLE)$/.test(node.name.getText())) return
    if (ts.isBinaryExpression(node) && /cssText|className|\.font$|Style$/.test(node.left.getText())) return
    if (ts.isBinaryExpression(node) && /[=!]==/.test(node.operatorToken.getText())) return
    if (ts.isCaseClause(node)) return node.statements.forEach(visit)
    const value = text(node)
    if (value !== null && readable(value) && !NAMES.has(value)) found.push(value)
    if (value === null || ts.isTemplateExpression(node)) ts.forEachChild(node, visit)
  }
  visit(source)
  return found
}

const sources = readdirSync(WEB, { recursive: true }).filter((name) => name.endsWith('.js') && !NO_WORDS.test(name))
const said = new Set(sources.flatMap(wordsOf))

if (process.env.EX4D_WORDS) console.log(JSON.stringify([...said, ...ALSO], null, 1))

test('what the sources say is found', () => {
  for (const text of ['Undo (Ctrl + Z)', 'Scene view', '⚠ The camera enters the scene at {}.', '{}. Drag to change.'])
    assert.ok(said.has(text), text)
  assert.ok(said.size > 100)
})

for (const [language, table] of Object.entries(LANGUAGES)) {
  test(`every sentence of the editor is in the table of ${language}, and nothing else`, () => {
    assert.deepEqual(
      [...said, ...ALSO].filter((text) => !(text in table)),
      [],
      'not translated'
    )
    assert.deepEqual(
      Object.keys(table).filter((text) => !said.has(text) && !ALSO.includes(text)),
      [],
      'said nowhere'
    )
  })

  test(`the table of ${language} fills in what the sentence fills in`, () => {
    for (const [text, translated] of Object.entries(table)) {
      const count = text.split('{}').length - 1
      const places = [...translated.matchAll(/\{(\d)\}/g)].map((match) => Number(match[1])).sort()
      const wanted = [...Array(count).keys()]
      assert.ok(
        places.every((place) => wanted.includes(place)),
        text
      )
      assert.ok(count - places.length <= (SHORTER.includes(text) ? 1 : 0), text)
      assert.ok(!translated.includes('{}'), text)
      assert.ok(/[^\x00-\x7f]/.test(translated) && translated.trim() === translated, text)
    }
  })

  test(`${language}: sentences, and parts within sentences, are looked up`, (context) => {
    context.after(() => speak('en'))
    speak(language)
    assert.equal(word('Undo (Ctrl + Z)'), table['Undo (Ctrl + Z)'])
    const frames = table['frame{} {}'].replace('{1}', '3–7')
    assert.equal(
      word('⚠ The camera enters the scene at frames 3–7.'),
      table['⚠ The camera enters the scene at {}.'].replace('{0}', frames)
    )
    assert.equal(
      word('Distance from the pivot. Drag to change.'),
      table['{}. Drag to change.'].replace('{0}', table['Distance from the pivot'])
    )
    assert.equal(word('clip.mp4'), 'clip.mp4')
  })
}

test('English is spoken where a language has no table', (context) => {
  context.after(() => speak('en'))
  for (const language of ['en', 'fr', 'zh-TW', '', undefined]) {
    speak(language)
    assert.equal(word('Undo (Ctrl + Z)'), 'Undo (Ctrl + Z)')
  }
})
