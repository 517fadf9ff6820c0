// node templates.mjs URL PACK SCREENSHOTS NAME...: opens each example graph from the template browser and runs it small.
// Prints one line of JSON: per graph its widgets and prompt as loaded, the run's end and the previews.

import { clear, fit, open, openTemplate, previews, prompt, run, widgets } from "./comfy.mjs";

const [url, pack, screenshots, ...names] = process.argv.slice(2);
const SMALL = { frames: 9, height: 128 };

/**
 * Bring the demo clip, and a path with keyframes, to a size that a test can wait for. Each graph gets a width of its own:
 * nodes that are taken from the cache show nothing.
 */
async function shorten(page, width) {
  await page.evaluate((small) => {
    for (const node of window.app.graph.nodes) {
      const set = (name, value) => {
        const widget = node.widgets?.find((candidate) => candidate.name === name);
        if (!widget) return;
        widget.value = value;
        widget.callback?.(value);
      };
      if (node.type === "EX4DDemoClip") for (const [name, value] of Object.entries(small)) set(name, value);
      const path = node.type === "EX4DCameraTrajectory" && node.widgets.find((widget) => widget.name === "path");
      if (path && path.value) {
        const document = JSON.parse(path.value);
        const scale = (small.frames - 1) / (document.frames - 1);
        for (const key of document.keyframes) key.frame = Math.round(key.frame * scale);
        set("path", JSON.stringify({ ...document, frames: small.frames }));
      }
    }
  }, { ...SMALL, width });
}

const { browser, page, seen } = await open(url, { width: 2300, height: 1300 });
const report = {};
try {
  for (const name of names) {
    await openTemplate(page, pack, name);
    const loaded = { widgets: await widgets(page), prompt: await prompt(page) };
    await shorten(page, 128 + 16 * names.indexOf(name));
    const result = await run(page);
    await fit(page);
    await page.waitForTimeout(1200);
    await page.screenshot({ path: `${screenshots}/${name}.png` });
    report[name] = { ...loaded, result, previews: await previews(page) };
    await clear(page);
  }
} finally {
  await browser.close();
}
console.log(JSON.stringify({ graphs: report, seen }));
