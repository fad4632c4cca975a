// The pictures: the graph of steps, its summary by stages, and values over time. Each says in words what it shows.

import { h, s, MARKS, number, time } from "./dom.js";

const WIDTH = 140, HEIGHT = 40, GAP_X = 10, GAP_Y = 26, PAD = 12;
const FITS = 1800; // A wider picture is scrolled; a smaller one is fitted to the page.

export function graph(picture, onStep) {
  const place = new Map(picture.nodes.map((node) => [node.address, {
    x: PAD + node.column * (WIDTH + GAP_X), y: PAD + node.stage * (HEIGHT + GAP_Y), stage: node.stage }]));
  const width = Math.max(...[...place.values()].map((p) => p.x)) + WIDTH + PAD;
  const height = Math.max(...[...place.values()].map((p) => p.y)) + HEIGHT + PAD;
  const stages = new Set(picture.nodes.map((node) => node.stage)).size;
  return s("svg", { class: width <= FITS ? "graph fits" : "graph", viewBox: `0 0 ${width} ${height}`, width, height, role: "img",
    "aria-label": `The graph: ${picture.nodes.length} steps in ${stages} stages. The table below tells each.` },
    picture.edges.map(([from, to]) => edge(place.get(from), place.get(to))),
    picture.nodes.map((node) => box(node, place.get(node.address), onStep)));
}

function edge(from, to) {
  const [x1, y1, x2, y2] = [from.x + WIDTH / 2, from.y + HEIGHT, to.x + WIDTH / 2, to.y];
  const bend = GAP_Y * (to.stage - from.stage === 1 ? 0.6 : 1.4);
  return s("path", { class: "edge", d: `M${x1} ${y1}C${x1} ${y1 + bend} ${x2} ${y2 - bend} ${x2} ${y2}` });
}

function box(node, { x, y }, onStep) {
  const dot = node.address.indexOf("."), kind = node.address.slice(0, dot), whole = node.address.slice(dot + 1);
  const name = whole.length > 18 ? `${whole.slice(0, 17)}…` : whole;
  return s("g", { class: `node ${node.state}`, onclick: () => onStep(node.address) },
    s("title", null, `${node.address}: ${node.state}`),
    s("rect", { x, y, width: WIDTH, height: HEIGHT, rx: 6 }),
    s("text", { class: "kind", x: x + 9, y: y + 12 }, kind),
    s("text", { class: "mark", x: x + WIDTH - 13, y: y + 12 }, MARKS[node.state] ?? ""),
    s("text", { x: x + 9, y: y + 28 }, name));
}

// One bar, a part a state, what is over first.
const ORDER = ["done", "failed", "stopped", "skipped", "running", "planned", "waiting", "unchanged"];

export function bar(states, total, label) {
  let x = 0;
  const parts = ORDER.filter((state) => states[state]).map((state) => {
    const width = (states[state] / total) * 1000;
    const part = s("rect", { class: `fill ${state}`, x, y: 0, width, height: 10 });
    x += width;
    return part;
  });
  return s("svg", { class: "bar", viewBox: "0 0 1000 10", preserveAspectRatio: "none", role: "img",
    "aria-label": label }, parts);
}

// A line of [{at, value}] with gaps where there is no value.
export function line(points, name, unit) {
  const known = points.filter((p) => p.value !== null && p.value !== undefined);
  if (!known.length) return h("p", { class: "dim" }, `No ${name} was measured since this page's server watches.`);
  const most = Math.max(...known.map((p) => p.value)), top = most || 1;
  const begin = Date.parse(points[0].at), span = Math.max(Date.parse(points.at(-1).at) - begin, 1);
  let path = "", down = false;
  for (const point of points) {
    if (point.value === null || point.value === undefined) { down = false; continue; }
    const x = ((Date.parse(point.at) - begin) / span) * 600, y = 92 - (point.value / top) * 84;
    path += `${down ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`;
    if (!down) path += "h0.1";
    down = true;
  }
  const now = known.at(-1).value;
  return h("figure", { class: "chart" },
    h("figcaption", null, h("strong", null, name), ` ${number(now)} ${unit} `,
      h("span", { class: "dim" }, `at most ${number(most)} since ${time(points[0].at)}`)),
    s("svg", { viewBox: "0 0 600 100", preserveAspectRatio: "none", role: "img",
      "aria-label": `${name} over time: now ${number(now)} ${unit}, at most ${number(most)}` },
      s("path", { class: "axis", d: "M0 92H600" }), s("path", { class: "line", d: path }),
      s("path", { class: "line last", d: `${path.slice(path.search(/[ML][^ML]*$/)).replace("L", "M").replace("h0.1", "")}h0.1` })));
}

// The answers of a gate against its limit.
export function answers(gate, some) {
  const known = some.filter((one) => typeof one.value === "number");
  if (known.length < 2) return null; // One point is no course of time.
  const limits = some.map((one) => one.limit).filter((one) => typeof one === "number");
  const values = [...known.map((one) => one.value), ...limits];
  const low = Math.min(...values, 0), high = Math.max(...values, low + 1e-9);
  const y = (value) => 54 - ((value - low) / (high - low)) * 44;
  const x = (place) => some.length === 1 ? 150 : 10 + (place / (some.length - 1)) * 280;
  const limit = limits.at(-1);
  return s("svg", { class: "answers", viewBox: "0 0 300 64", role: "img",
    "aria-label": `${gate}: ${some.length} answers, the newest ${number(known.at(-1).value)}, limit ${number(limit)}` },
    limit === undefined ? null : s("path", { class: "limit", d: `M0 ${y(limit)}H300` }),
    some.map((one, place) => typeof one.value !== "number" ? null : one.outcome === "pass" ?
      s("circle", { class: "dot pass", cx: x(place), cy: y(one.value), r: 4 }) :
      s("path", { class: "dot fail", d: `M${x(place) - 5} ${y(one.value) - 5}l10 10m0 -10l-10 10` })));
}
