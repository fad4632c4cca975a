// Making elements. All text goes in as text: nothing that was read is ever parsed as HTML.

const SVG = "http://www.w3.org/2000/svg";

function fill(element, attributes, kids) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...kids.flat(3).filter((kid) => kid !== null && kid !== undefined && kid !== false));
  return element;
}

export const h = (tag, attributes, ...kids) => fill(document.createElement(tag), attributes, kids);
export const s = (tag, attributes, ...kids) => fill(document.createElementNS(SVG, tag), attributes, kids);
export const at = (id) => document.getElementById(id);

// Put new content in place of the old; what had the focus, and what was unfolded, keeps it by its data-key.
export function put(place, ...kids) {
  const focused = place.contains(document.activeElement) ? document.activeElement.dataset.key : null;
  const open = new Set([...place.querySelectorAll("details[open]")].map((one) => one.dataset.key));
  const across = new Map([...place.querySelectorAll(".wide")].map((one) => [one.dataset.key, one.scrollLeft]));
  place.replaceChildren(...kids.flat(3).filter(Boolean));
  for (const one of place.querySelectorAll("details[data-key]")) if (open.has(one.dataset.key)) one.open = true;
  for (const one of place.querySelectorAll(".wide")) one.scrollLeft = across.get(one.dataset.key) ?? 0;
  if (focused) place.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
}

// A table with a caption for who cannot see its place; `wide` ones scroll by themselves, by keyboard too.
export function table(caption, heads, rows, options = {}) {
  return h("div", { class: "wide", tabindex: "0", role: "region", "aria-label": caption, "data-key": `t-${caption}` },
    h("table", { class: options.class }, h("caption", { class: "unseen" }, caption),
      h("thead", null, h("tr", null, heads.map((head) => h("th", { scope: "col" }, head)))),
      h("tbody", null, rows.map((cells) => h("tr", null, cells.map((cell, place) =>
        place === 0 ? h("th", { scope: "row" }, cell) : h("td", null, cell)))))));
}

export const MARKS = { done: "✓", running: "▶", failed: "✗", stopped: "■", skipped: "⤼", waiting: "…", planned: "+",
  unchanged: "=", pass: "✓", fail: "✗", "no-data": "?" };

export const badge = (state, text = state) =>
  h("span", { class: `badge ${state}` }, h("span", { "aria-hidden": "true" }, `${MARKS[state] ?? "•"} `), text);

export const number = (value) => value === null || value === undefined ? "–" :
  Number(value).toLocaleString("en", { maximumFractionDigits: 3 });
export const time = (iso) => iso ? new Date(iso).toISOString().replace("T", " ").slice(0, 19) + "Z" : "";

export function spoken(seconds) {
  if (seconds === null || seconds === undefined) return "";
  if (seconds < 10 && seconds % 1) return `${seconds.toFixed(1)} s`;
  const units = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];
  let rest = Math.round(seconds);
  const parts = [];
  for (const [unit, size] of units) {
    const count = Math.floor(rest / size);
    rest %= size;
    if (count) parts.push(`${count} ${unit}`);
  }
  return parts.slice(0, 2).join(" ") || "0 s";
}
