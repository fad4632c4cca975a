// The page: who is asked what how often, and where it is put. Reads only, but for a replay where the server allows it.

import { at, h, put, MARKS, number } from "./dom.js";
import * as parts from "./parts.js";

const TICK_MS = 500;
const EVERY_MS = { run: 1000, steps: 1500, environments: 10000, service: 5000, gates: 6000, cutover: 12000, books: 12000,
  dlq: 6000, evidence: 12000 };
const STATES = ["failed", "stopped", "running", "waiting", "planned", "skipped", "done", "unchanged"];

const page = { token: null, name: "", actions: false, environments: [], chosen: { state: [], kind: "", text: "", page: 1 },
  letters: { class: "", all: false, page: 1 }, tags: {}, due: {}, busy: new Set(), news: { text: "" }, told: { text: "", at: 0 }, waiting: null,
  from: null, large: false };

// The token comes behind the # and stays with this tab; the address bar forgets it.
function begin() {
  const given = new URLSearchParams(location.hash.slice(1));
  if (given.has("token")) {
    sessionStorage.setItem("token", given.get("token"));
    history.replaceState(null, "", location.pathname + (given.has("env") ? `#env=${encodeURIComponent(given.get("env"))}` : ""));
  }
  page.token = sessionStorage.getItem("token");
  page.name = given.get("env") ?? sessionStorage.getItem("env") ?? "";
  if (!page.token) return trouble("Open the whole address that txplan ui printed: it holds the token that this page needs.");
  setInterval(tick, TICK_MS);
  tick();
}

async function ask(path, key, method = "GET") {
  const headers = { Authorization: `Bearer ${page.token}` };
  if (key && page.tags[key]?.path === path) headers["If-None-Match"] = page.tags[key].tag;
  const answer = await fetch(path, { method, headers, cache: "no-store" });
  if (answer.status === 304) return { same: true };
  if (answer.status === 401) throw Object.assign(new Error("The token is not this server's: open the address that it printed."), { away: true });
  const data = await answer.json().catch(() => null);
  if (key) page.tags[key] = { path, tag: answer.ok ? answer.headers.get("ETag") : "" };
  if (data?.refused) return { refused: data.refused };
  return answer.ok ? { data } : { refused: [{ summary: `The server answered ${answer.status}.`, mend: "" }] };
}

function trouble(text) {
  const place = at("trouble");
  if (place.textContent !== text) place.textContent = text;
  place.hidden = !text;
}

const of = (rest) => `/api/environments/${encodeURIComponent(page.name)}/${rest}`;

// Every part: its path, where it goes, and what is made of it.
const PARTS = {
  environments: () => ["/api/environments", null, showEnvironments],
  run: () => [of("run"), "run-body", showRun],
  steps: () => [of(`steps?${query()}`), "steps", (data) => { page.chosen.page = data.page; return parts.steps(data, act); }],
  service: () => [of("service"), "service-body", parts.service],
  gates: () => [of("gates"), "gates-body", parts.gates],
  cutover: () => [of("cutover"), "cutover-body", parts.cutover],
  books: () => [of("books"), "books-body", parts.books],
  dlq: () => [of(`dlq?${new URLSearchParams({ all: String(page.letters.all), class: page.letters.class, page: page.letters.page })}`),
    "dlq-body", (data) => parts.letters(data, page.letters, act)],
  evidence: () => [of("evidence"), "evidence-body", parts.evidence],
};

const query = () => new URLSearchParams({ state: page.chosen.state.join(","), kind: page.chosen.kind, text: page.chosen.text,
  page: page.chosen.page });

function tick() {
  if (document.hidden) return;
  if (page.news.text) announce();
  for (const part of Object.keys(PARTS)) {
    if (part !== "environments" && !page.name) continue;
    if ((page.due[part] ?? 0) <= Date.now() && !page.busy.has(part)) refresh(part);
  }
}

async function refresh(part) {
  const [path, place, show] = PARTS[part](), name = page.name;
  page.busy.add(part);
  // A large graph is dearer to count than it is urgent, and an apply needs the machine too.
  page.due[part] = Date.now() + EVERY_MS[part] * (page.large && (part === "run" || part === "steps") ? 3 : 1);
  try {
    const found = await ask(path, part);
    if (page.name !== name) return;
    trouble("");
    if (found.refused && place) put(at(place), found.refused.map((one) => h("p", { class: "dim" }, `${one.summary} ${one.mend ?? ""}`)));
    else if (found.data !== undefined) {
      const made = show(found.data);
      if (place) put(at(place), made);
    }
  } catch (problem) {
    trouble(problem.away ? problem.message : problem instanceof TypeError && !navigatorKnows(problem) ?
      "txplan ui does not answer: it was ended, or is busy. What is shown is from before." : `This page failed: ${problem.message}`);
    if (!problem.away && !(problem instanceof TypeError)) throw problem;
  } finally {
    page.busy.delete(part);
    if (page.name !== name) page.due[part] = 0;
  }
}

// A fetch that reached nobody is a TypeError, as a mistake of this page would be; only the latter has been thrown here.
const navigatorKnows = (problem) => /undefined|null|not a function/.test(problem.message);

function showEnvironments(data) {
  page.environments = data.environments;
  page.actions = data.actions;
  if (!data.environments.some((one) => one.name === page.name)) choose(data.environments[0]?.name ?? "");
  put(at("environments"), data.environments.map((one) => h("li", null, h("a", { href: `#env=${encodeURIComponent(one.name)}`,
    "data-key": `env-${one.name}`, "aria-current": one.name === page.name ? "page" : null },
    h("strong", null, one.name), h("small", { class: one.serves ? "good" : one.live ? "bad" : "" }, one.health),
    one.live ? h("small", { class: one.expired || one.near ? "bad" : "" }, `ttl ${one.ttl}`) : null))));
  at("main").hidden = !page.name;
  if (!page.name) trouble("No environment is live or was planned here. Make one: txplan apply MANIFEST");
  about();
}

function about() {
  const one = page.environments.find((other) => other.name === page.name);
  at("name").textContent = page.name;
  put(at("about"), one?.live ? [`${one.health} · ttl ${one.ttl} · ${one.owner} on ${one.target}`,
    one.stranger ? h("strong", { class: "bad" }, ` · not proven to be what it says: ${one.stranger}`) : null] : [one?.health ?? ""]);
}

function choose(name) {
  if (name === page.name) return;
  page.name = name;
  sessionStorage.setItem("env", name);
  page.chosen = { state: [], kind: "", text: "", page: 1 };
  page.letters = { class: "", all: false, page: 1 };
  page.tags = { environments: page.tags.environments };
  page.news = { text: "" };
  page.told = { text: "", at: 0 };
  at("kind").value = at("text").value = "";
  for (const part of Object.keys(PARTS)) {
    if (part === "environments") continue;
    page.due[part] = 0;
    const place = PARTS[part]()[1];
    put(at(place), h("p", { class: "dim" }, "Reading…"));
  }
  put(at("runs"));
  put(at("states"));
  for (const link of at("environments").querySelectorAll("a"))
    link.toggleAttribute("aria-current", link.dataset.key === `env-${name}`);
  about();
  tick();
}

function showRun(data) {
  page.large = data.total > 5000;
  put(at("runs"), parts.runs(data));
  put(at("states"), STATES.filter((state) => data.counts[state] || page.chosen.state.includes(state)).map((state) =>
    h("button", { type: "button", "data-key": `state-${state}`, "aria-pressed": String(page.chosen.state.includes(state)),
      onclick: () => act.state(state) }, h("span", { "aria-hidden": "true" }, `${MARKS[state]} `), `${number(data.counts[state] ?? 0)} ${state}`)));
  const kinds = Object.keys(data.kinds);
  if (kinds.join() !== [...at("kind").options].slice(1).map((o) => o.value).join()) {
    put(at("kind"), h("option", { value: "" }, "any"), kinds.map((kind) => h("option", { value: kind }, kind)));
    at("kind").value = kinds.includes(page.chosen.kind) ? page.chosen.kind : "";
  }
  page.news = { text: parts.headline(data), urgent: `${data.run?.run} ${data.run?.alive} ${data.run?.failed}` };
  announce();
  document.title = `${data.run?.alive ? `${data.counts.done ?? 0}/${data.run.steps} ` : ""}${page.name} · txplan`;
  return parts.run(data, act);
}

// A listener is told at once when a run begins, ends or has a failure, and every ten seconds how far it is.
function announce() {
  const { text, urgent } = page.news;
  if (text === page.told.text || (urgent === page.told.urgent && Date.now() - page.told.at < 10000)) return;
  if (page.told.text) at("announce").textContent = text;
  page.told = { text, urgent, at: page.told.text ? Date.now() : 0 };
}

function soon(part) {
  page.due[part] = 0;
  tick();
}

function open(title, ...kids) {
  at("detail-title").textContent = title;
  put(at("detail-body"), kids);
  if (at("detail").open) return;
  page.from = document.activeElement?.dataset?.key;
  at("detail").showModal();
}

async function detail(title, path, make) {
  open(title, h("p", { class: "dim" }, "Reading…"));
  try {
    const found = await ask(path);
    if (at("detail-title").textContent === title)
      open(title, found.refused ? found.refused.map((one) => h("p", { class: "bad" }, one.summary)) : make(found.data));
  } catch (problem) {
    open(title, h("p", { class: "bad" }, problem.message));
  }
}

const act = {
  step: (address) => detail(address, of(`step?${new URLSearchParams({ address })}`), (one) => parts.step(one, act)),
  page: (number_) => { page.chosen.page = number_; soon("steps"); },
  state: (state) => {
    const chosen = page.chosen.state;
    page.chosen.state = chosen.includes(state) ? chosen.filter((one) => one !== state) : [...chosen, state];
    page.chosen.page = 1;
    page.tags.run = null;
    soon("run");
    soon("steps");
  },
  letters: (changes) => { Object.assign(page.letters, changes); soon("dlq"); },
  letter: (id) => detail(`Dead letter ${id}`, of(`dlq/${id}`), (one) =>
    parts.letter(one, page.actions && !one.resolved ? () => replay(id) : null)),
};

async function replay(id) {
  if (!confirm(`Replay dead letter ${id} of ${page.name}?`)) return;
  at("replayed").textContent = " … replaying";
  const found = await ask(of(`dlq/${id}/replay`), null, "POST");
  at("replayed").textContent = " " + (found.refused ? found.refused.map((one) => one.summary).join(" ") :
    Object.entries(found.data).map(([what, count]) => `${what} ${count}`).join(" · "));
  page.tags.dlq = null;
  soon("dlq");
}

at("filter").addEventListener("submit", (event) => event.preventDefault());
at("kind").addEventListener("change", () => { page.chosen.kind = at("kind").value; page.chosen.page = 1; soon("steps"); });
at("text").addEventListener("input", () => {
  clearTimeout(page.waiting);
  page.waiting = setTimeout(() => { page.chosen.text = at("text").value.trim(); page.chosen.page = 1; soon("steps"); }, 250);
});
at("detail-close").addEventListener("click", () => at("detail").close());
// What led to the details may have been made anew since; who comes back finds it all the same.
at("detail").addEventListener("close", () => page.from && document.querySelector(`[data-key="${CSS.escape(page.from)}"]`)?.focus());
addEventListener("hashchange", () => {
  const given = new URLSearchParams(location.hash.slice(1));
  if (given.has("token")) location.reload();
  else if (given.has("env")) choose(given.get("env"));
});
document.addEventListener("visibilitychange", tick);
begin();
