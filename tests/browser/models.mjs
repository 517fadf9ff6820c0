// What a real frontend offers of model files that a graph names and that are not there: older ones by a dialog, newer ones
// by a mark over the graph, which opens a panel.
import { PATIENCE } from './comfy.mjs'

/** @type {(page) => any} */
const dialogOf = (page) => page.locator('.p-dialog, [role=dialog]').filter({ hasText: 'Missing Models' }).last()
const markOf = (page) => page.getByRole('button', { name: 'View details' }).first()

/** Whether a node of the graph in view, or of its subgraphs, names model files, once the frontend has told of them. */
async function told(page) {
  const named = await page.evaluate(() => {
    const { graph } = window.app
    const graphs = [graph, ...(graph.subgraphs?.values() ?? [])]
    return graphs.some(({ nodes }) => nodes.some((node) => node.properties?.models?.length))
  })
  if (named) await dialogOf(page).or(markOf(page)).first().waitFor({ timeout: PATIENCE })
  return named
}

/** Close the dialog. @returns {Promise<string | null>} what it says; null where there is none */
export async function closeDialog(page) {
  const dialog = dialogOf(page)
  if (!(await told(page)) || !(await dialog.isVisible())) return null
  const text = await dialog.innerText()
  await page.keyboard.press('Escape')
  await dialog.waitFor({ state: 'hidden', timeout: PATIENCE })
  return text
}

/** Open the panel. @returns {Promise<string[] | null>} the labels of its buttons that download a file each; null where there is no panel */
export async function openPanel(page) {
  if (!(await told(page)) || !(await markOf(page).isVisible())) return null
  await markOf(page).click()
  const buttons = page.getByTestId('missing-model-download')
  await buttons
    .first()
    .waitFor({ timeout: PATIENCE })
    .catch(() => {})
  return buttons.evaluateAll((all) => all.map((button) => button.getAttribute('aria-label')))
}
