// node templates.mjs URL PACK SCREENSHOTS RUNNING OPENED: opens example graphs from the template browser, and runs the
// first list's small; both are JSON lists of names. Prints one line of JSON: per graph its widgets, boxes and prompt as
// loaded, and for those that ran the end and the previews.

import { boxes, clear, fit, open, openTemplate, previews, prompt, run, widgets } from "./comfy.mjs";

const [url, pack, screenshots, ...lists] = process.argv.slice(2);
const [running, opened] = lists.map((list) => JSON.parse(list));
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
  for (const name of [...running, ...opened]) {
    await openTemplate(page, pack, name);
    const loaded = { widgets: await widgets(page), prompt: await prompt(page), boxes: await boxes(page) };
    if (!running.includes(name)) {
      await fit(page);
      await page.screenshot({ path: `${screenshots}/${name}.png` });
      report[name] = loaded;
      await clear(page);
      continue;
    }
    await shorten(page, 128 + 16 * running.indexOf(name));
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
