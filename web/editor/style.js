/** The editor's style sheet. */
import { COLOURS, ON_LIGHT } from './theme.js'

const CSS = `
.ex4d-editor {
  --e-back: var(--comfy-menu-bg, #353535);
  --e-field: var(--comfy-input-bg, #222);
  --e-text: var(--input-text, #ddd);
  --e-faint: var(--descrip-text, #999);
  --e-line: var(--border-color, #4e4e4e);
  --e-key: ${COLOURS.path};
  --e-x: ${COLOURS.axes[0]};
  --e-y: ${COLOURS.axes[1]};
  --e-z: ${COLOURS.axes[2]};
  --e-warn: #eab04a;
  --e-bad: #ef7f79;
  position: relative;
  display: flex;
  flex-direction: column;
  gap: 6px;
  width: 100%;
  height: 100%;
  min-height: 0;
  box-sizing: border-box;
  padding: 8px;
  border-radius: 8px;
  background: var(--e-back);
  color: var(--e-text);
  font:
    12px/1.35 Inter,
    system-ui,
    sans-serif;
  outline: none;
  user-select: none;
  -webkit-user-select: none;
  container-type: inline-size;
  overflow: hidden;
}
.ex4d-editor.ex4d-light {
  --e-key: ${ON_LIGHT.path};
  --e-warn: ${ON_LIGHT.path};
  --e-bad: ${ON_LIGHT.bad};
  --e-x: ${ON_LIGHT.axes[0]};
  --e-y: ${ON_LIGHT.axes[1]};
  --e-z: ${ON_LIGHT.axes[2]};
}
.ex4d-editor *,
.ex4d-editor *::before {
  box-sizing: border-box;
}
.ex4d-editor.ex4d-large {
  position: fixed;
  inset: 0;
  z-index: 10000;
  border-radius: 0;
  padding: 12px;
}
.ex4d-editor.ex4d-drop {
  outline: 2px solid var(--e-key);
  outline-offset: -2px;
}
body:has(> .ex4d-large) > :not(.ex4d-large) {
  visibility: hidden;
}
.ex4d-keys {
  position: absolute;
  width: 1px;
  height: 1px;
  padding: 0;
  border: 0;
  opacity: 0;
  resize: none;
  pointer-events: none;
  left: 0;
  top: 0;
}
.ex4d-bar {
  display: flex;
  align-items: center;
  gap: 4px;
  min-height: 26px;
  flex-wrap: wrap;
  flex: none;
}
.ex4d-bar .ex4d-space {
  flex: 1 1 0;
}
.ex4d-group {
  display: inline-flex;
  align-items: center;
  gap: 1px;
  padding: 1px;
  border-radius: 6px;
  background: var(--e-field);
}
.ex4d-button {
  display: inline-flex;
  align-items: center;
  justify-content: center;
  gap: 5px;
  width: 24px;
  height: 24px;
  padding: 0;
  border: 0;
  border-radius: 5px;
  background: none;
  color: var(--e-text);
  opacity: 0.82;
  cursor: pointer;
  font: inherit;
  flex: none;
}
.ex4d-button.ex4d-wide {
  width: auto;
  padding: 0 8px;
}
.ex4d-button:hover {
  opacity: 1;
  background: color-mix(in srgb, var(--e-text) 13%, transparent);
}
.ex4d-button:disabled {
  opacity: 0.3;
  cursor: default;
  background: none;
}
.ex4d-button[aria-pressed="true"] {
  opacity: 1;
  background: color-mix(in srgb, var(--e-key) 26%, transparent);
  color: var(--e-key);
}
.ex4d-button svg {
  width: 15px;
  height: 15px;
  fill: none;
  stroke: currentColor;
  stroke-width: 1.4;
  stroke-linecap: round;
  stroke-linejoin: round;
}
.ex4d-editor select,
.ex4d-editor input {
  height: 24px;
  border: 1px solid transparent;
  border-radius: 5px;
  background: var(--e-field);
  color: var(--e-text);
  font: inherit;
  padding: 0 6px;
  min-width: 0;
  outline: none;
}
.ex4d-editor select {
  cursor: pointer;
  max-width: 150px;
}
.ex4d-editor select:focus-visible,
.ex4d-editor input:focus-visible {
  border-color: var(--e-key);
}
.ex4d-views {
  display: grid;
  grid-template-columns: minmax(0, 1.25fr) minmax(0, 1fr);
  gap: 6px;
  flex: 1 1 0;
  min-height: 120px;
}
.ex4d-views[data-layout="swapped"] {
  grid-template-columns: minmax(0, 1fr) minmax(0, 1.25fr);
}
.ex4d-views[data-layout="swapped"] .ex4d-view:first-child {
  order: 2;
}
.ex4d-views[data-layout="scene"],
.ex4d-views[data-layout="shot"] {
  grid-template-columns: minmax(0, 1fr);
}
.ex4d-views[data-layout="scene"] .ex4d-view:last-child,
.ex4d-views[data-layout="shot"] .ex4d-view:first-child {
  display: none;
}
.ex4d-views[data-tall="true"] {
  grid-template-columns: minmax(0, 1fr);
  grid-auto-rows: minmax(0, 1fr);
}
.ex4d-view {
  --e-key: ${COLOURS.path};
  position: relative;
  min-width: 0;
  min-height: 0;
  border-radius: 6px;
  overflow: hidden;
  background: #16181c;
}
.ex4d-canvas {
  position: absolute;
  inset: 0;
  width: 100%;
  height: 100%;
  display: block;
  touch-action: none;
}
.ex4d-tools {
  position: absolute;
  right: 6px;
  bottom: 6px;
  display: inline-flex;
  gap: 4px;
}
.ex4d-tools .ex4d-group {
  background: #101216cc;
  color: #dfe3ea;
}
.ex4d-tools .ex4d-button {
  color: #dfe3ea;
  height: 22px;
  font-size: 11px;
}
.ex4d-tools .ex4d-button:not(.ex4d-wide) {
  width: 22px;
}
.ex4d-tools .ex4d-button[aria-pressed="true"] {
  color: var(--e-key);
}
/* Along the upper edge, beside the view's name: the path and its handles stand free below it in low views too. */
.ex4d-note {
  position: absolute;
  inset: 7px 8px auto 52px;
  color: #dfe3ea;
  text-shadow: 0 1px 3px #000;
  pointer-events: none;
  font-size: 11px;
  line-height: 1.25;
}
.ex4d-note:empty {
  display: none;
}
.ex4d-time {
  position: relative;
  height: 92px;
  flex: none;
  border-radius: 6px;
  overflow: hidden;
  background: var(--e-field);
}
.ex4d-time.ex4d-bends {
  height: 140px;
}
.ex4d-count {
  min-width: 74px;
  text-align: center;
  font-variant-numeric: tabular-nums;
}
.ex4d-count b {
  font-weight: 600;
}
.ex4d-fields {
  contain: content;
  display: flex;
  flex-wrap: wrap;
  gap: 4px 10px;
  align-items: center;
  flex: none;
}
.ex4d-fieldset {
  display: inline-flex;
  align-items: center;
  gap: 3px;
}
.ex4d-fieldset > span {
  color: var(--e-faint);
  font-size: 11px;
  margin-right: 2px;
  white-space: nowrap;
}
/* Rows of numbers under each other start at one edge. */
@container (max-width: 900px) {
  .ex4d-editor .ex4d-fields {
    display: grid;
    grid-template-columns: max-content 1fr;
  }
  .ex4d-fields .ex4d-fieldset > span {
    min-width: 46px;
  }
  .ex4d-fields .ex4d-fieldset:nth-child(odd) > span,
  .ex4d-fields .ex4d-row > span {
    min-width: 92px;
  }
  .ex4d-fields .ex4d-row {
    grid-column: 1 / -1;
  }
}
/* Lists become as narrow as the row has room for. */
@container (max-width: 640px) {
  .ex4d-editor .ex4d-fields {
    grid-template-columns: minmax(0, 1fr);
  }
  .ex4d-editor .ex4d-fieldset {
    min-width: 0;
  }
  .ex4d-editor .ex4d-fieldset select {
    flex: 0 1 auto;
    min-width: 40px;
  }
  .ex4d-fields .ex4d-fieldset > span {
    min-width: 92px;
  }
}
/* As narrow as the form of an app: names stand above their numbers, and what does not fit goes into the next line. */
@container (max-width: 440px) {
  .ex4d-editor .ex4d-fieldset {
    flex-wrap: wrap;
  }
  .ex4d-fields .ex4d-fieldset > span {
    flex-basis: 100%;
  }
}
/* In a form, which is neither of LiteGraph's nodes nor of Vue's, nothing else asks for height. */
.ex4d-frame:not(.dom-widget .ex4d-frame, [data-node-id] .ex4d-frame) .ex4d-editor {
  min-height: 880px;
}
.ex4d-field {
  position: relative;
  display: inline-flex;
  align-items: center;
  background: var(--e-field);
  border-radius: 5px;
}
.ex4d-field i {
  font-style: normal;
  font-size: 10px;
  color: var(--e-faint);
  padding-left: 6px;
  cursor: ew-resize;
  touch-action: none;
  line-height: 24px;
  min-width: 20px;
}
.ex4d-field[data-axis="x"] i {
  color: var(--e-x);
}
.ex4d-field[data-axis="y"] i {
  color: var(--e-y);
}
.ex4d-field[data-axis="z"] i {
  color: var(--e-z);
}
.ex4d-editor .ex4d-field input {
  width: 52px;
  background: none;
  padding: 0 5px 0 3px;
  text-align: right;
  font-variant-numeric: tabular-nums;
  user-select: text;
  -webkit-user-select: text;
}
.ex4d-status {
  display: flex;
  gap: 12px;
  align-items: center;
  min-height: 18px;
  color: var(--e-faint);
  font-size: 11px;
  flex: none;
  white-space: nowrap;
  overflow: hidden;
}
.ex4d-status span {
  overflow: hidden;
  text-overflow: ellipsis;
}
/* What decides whether work counts is read whole. */
.ex4d-status .ex4d-whole {
  white-space: normal;
}
.ex4d-status .ex4d-link {
  flex: none;
}
.ex4d-status .ex4d-warn {
  color: var(--e-warn);
}
.ex4d-status .ex4d-bad {
  color: var(--e-bad);
}
.ex4d-status a,
.ex4d-status button.ex4d-link {
  color: var(--e-key);
  background: none;
  border: 0;
  padding: 0;
  font: inherit;
  cursor: pointer;
  text-decoration: underline;
}
.ex4d-help {
  position: absolute;
  inset: 8px;
  z-index: 5;
  padding: 14px 18px;
  border-radius: 8px;
  background: var(--e-back);
  overflow: auto;
  border: 1px solid var(--e-line);
  user-select: text;
}
.ex4d-help h3 {
  margin: 0 0 6px;
  font-size: 13px;
}
.ex4d-help dl {
  display: grid;
  grid-template-columns: max-content 1fr;
  gap: 3px 14px;
  margin: 0 0 12px;
}
.ex4d-help dt {
  color: var(--e-key);
  font-variant-numeric: tabular-nums;
}
.ex4d-help dd {
  margin: 0;
}
.ex4d-help .ex4d-button {
  position: absolute;
  right: 8px;
  top: 8px;
}
/* Emulated graphics draw a whole layer again when a part of it changes: what changes in a drag has its own. */
.ex4d-software :is(.ex4d-canvas, .ex4d-fields, .ex4d-count, .ex4d-status) {
  will-change: opacity;
}
/* Emulated graphics draw a node's blurred shadow again with every frame of a canvas inside it, which takes longer than
   all the rest. */
.ex4d-hurry [class*="drop-shadow"] {
  filter: none !important;
}
.ex4d-help-columns {
  columns: 2 260px;
  column-gap: 28px;
}
.ex4d-help-columns section {
  break-inside: avoid;
}
`

/** Adds the style sheet to the page, once. */
export function installStyle() {
  if (document.getElementById('ex4d-editor-style')) return
  const style = document.createElement('style')
  style.id = 'ex4d-editor-style'
  style.textContent = CSS
  document.head.append(style)
}
