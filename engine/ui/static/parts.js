// The parts of an environment, each from its data to elements. What is to be done is given as functions.

import { badge, h, number, spoken, table, time } from "./dom.js";
import { answers, bar, graph, line } from "./pictures.js";

const key = (name, text, attributes, ...kids) =>
  h("details", { "data-key": name, ...attributes }, h("summary", { "data-key": `s-${name}` }, text), ...kids);
const plain = (name, text, onclick, label) =>
  h("button", { class: "plain", type: "button", "data-key": name, "aria-label": label, onclick }, text);

export function headline(run) {
  const now = run.run;
  if (!now) return run.plan ? "A plan was made, and nothing was applied yet." : "Nothing was planned or applied here.";
  const done = run.counts.done ?? 0;
  if (now.alive) return `${run.lock?.purpose ?? "apply"}: ${number(done)} of ${number(now.steps)} done, ${number(run.counts.running ?? 0)} running` +
    (now.failed ? `, ${now.failed} failed` : "");
  if (!now.finish) return `The last run never said its end: ${number(now.succeeded)} of ${number(now.steps)} steps are done.`;
  return `The last run: ${now.finish}, ${number(now.succeeded)} succeeded, ${number(now.failed)} failed, ${number(now.skipped)} skipped`;
}

export function run(data, act) {
  const now = data.run;
  const words = Object.entries(data.counts).map(([state, count]) => `${number(count)} ${state}`).join(", ");
  const kinds = (band) => Object.entries(band.kinds).map(([kind, count]) => `${number(count)} ${kind}`).join(", ");
  return [
    data.plan_trouble && h("p", { class: "notice" }, data.plan_trouble),
    h("p", null, h("strong", null, headline(data)), now?.seconds ? ` in ${spoken(now.seconds)}` : "",
      now ? h("span", { class: "dim" }, ` · run ${now.run} · began ${time(now.at)}`) : ""),
    data.lock && h("p", { class: "dim" }, `Locked by ${data.lock.who} on ${data.lock.host} (pid ${data.lock.pid}): ` +
      `${data.lock.purpose}, since ${time(data.lock.since)}`),
    data.plan && !data.shows_run && h("p", { class: "notice" }, `Below is plan ${data.plan.id} of ${time(data.plan.made_at)} ` +
      `by ${data.plan.made_by}, which no run has carried out.`),
    data.shows_run && !data.matches && data.plan && h("p", { class: "notice" },
      "The run is about another plan than the one last made here: its order may differ from what is drawn."),
    data.total ? bar(data.counts, data.total, `${number(data.total)} steps: ${words}`) : null,
    data.picture ? [
      data.picture.left_out ? h("p", { class: "dim" }, `${number(data.picture.left_out)} unchanged steps are left out.`) : null,
      h("div", { class: "wide picture", tabindex: "0", role: "region", "aria-label": "The graph of steps",
        "data-key": "graph" }, graph(data.picture, act.step)),
    ] : data.bands.length ? [
      h("h3", null, "By stage"),
      h("p", { class: "dim" }, `${number(data.total)} steps are too many for a picture. A stage waits for those above it.`),
      table("Steps by stage", ["Stage", "Steps", "How far", "In words", "What"], data.bands.map((band) => [
        band.from === band.to ? band.from : `${band.from}–${band.to}`, number(band.total),
        bar(band.states, band.total, `stage ${band.from}`),
        Object.entries(band.states).map(([state, count]) => `${number(count)} ${state}`).join(", "), kinds(band)]),
      { class: "bands figures" }),
    ] : null,
  ];
}

export function steps(data, act) {
  const onPage = (page) => () => act.page(page);
  if (!data.total) return [h("p", { class: "dim" }, "No step is so.")];
  return [
    table("Steps", ["Step", "State", "Action", "Stage", "Took", "More"], data.rows.map((row) => [
      plain(`step-${row.address}`, row.address, () => act.step(row.address)), badge(row.state), row.action,
      row.stage ?? "", row.seconds !== null ? spoken(row.seconds) : row.began ? since(row.began, row.expected_s) : "",
      h("span", { class: "says" }, row.says)])),
    h("nav", { class: "pager", "aria-label": "Pages of steps" },
      h("button", { type: "button", "data-key": "before", disabled: data.page <= 1, onclick: onPage(data.page - 1) }, "Before"),
      h("span", null, `Page ${number(data.page)} of ${number(data.pages)}, ${number(data.total)} step${data.total === 1 ? "" : "s"}`),
      h("button", { type: "button", "data-key": "next", disabled: data.page >= data.pages, onclick: onPage(data.page + 1) }, "Next")),
  ];
}

const since = (began, expected) => `since ${time(began).slice(11)}${expected ? `, took ${spoken(expected)} before` : ""}`;

export function runs(data) {
  if (!data.runs.length) return [];
  return [key("runs", data.runs.length === 1 ? "The one run" : `The last ${data.runs.length} runs`, null,
    table("Runs", ["Run", "Began", "End", "Took", "Succeeded", "Failed", "Skipped"], data.runs.map((one) => [
      h("code", null, one.run), time(one.at), one.finish || "none recorded", one.seconds === null ? "" : spoken(one.seconds),
      one.succeeded, one.failed, one.skipped]), { class: "figures" }))];
}

export function service(data) {
  const points = (name) => data.samples.map((one) => ({ at: one.at, value: one[name] }));
  const good = (text) => h("span", { class: text === "up" || text === "answers" ? "good" : "bad" }, text);
  return [
    data.samples.length ? h("div", { class: "charts" }, line(points("lag_records"), "Lag", "records"),
      line(points("freshness_s"), "Freshness", "s")) : h("p", { class: "dim" }, "The first sample is being taken."),
    table("Servers and apps", ["Part", "State", "More"], [
      ...Object.entries(data.servers).map(([name, state]) => [name, good(state), ""]),
      ["database", good(data.database), `revision ${data.revisions.join(", ") || "none"}`],
      ...data.apps.map((app) => [`app ${app.name}`, app.waits ? h("span", { class: "bad" }, `waits: ${app.waits}`) :
        app.running < app.replicas ? h("span", { class: "bad" }, "not supervised") : h("span", { class: "good" }, "ready"),
      `${app.running} of ${app.replicas} running, revision ${app.revision}`])]),
    h("p", null, Object.entries(data.rows).map(([name, count]) => `${name} ${number(count)}`).join(" · ")),
  ];
}

export function gates(data) {
  if (!data.length) return [h("p", { class: "dim" }, "No gate was ever asked here.")];
  const newest = (one) => one.answers.at(-1);
  const sorted = [...data].sort((a, b) => (newest(a).outcome === "pass") - (newest(b).outcome === "pass"));
  return [h("div", { class: "tiles" }, sorted.map((one) => h("article", { class: `tile ${newest(one).outcome}` },
    h("h3", null, one.gate, badge(newest(one).outcome)),
    h("p", null, newest(one).says ?? ""), h("p", { class: "dim" }, time(newest(one).at)), answers(one.gate, one.answers),
    key(`gate-${one.gate}`, `${one.answers.length} answer${one.answers.length === 1 ? "" : "s"}`, null,
      h("ul", null, [...one.answers].reverse().map((answer) => h("li", null, badge(answer.outcome), ` ${answer.says ?? ""} `,
        h("span", { class: "dim" }, [time(answer.at), answer.window_s ? `window ${spoken(answer.window_s)}` : "",
          answer.run ? `run ${answer.run}` : ""].filter(Boolean).join(" · "))))))))) ];
}

export function cutover(data) {
  const image = h("img", { alt: "The timeline as a picture; the table below tells the same.",
    src: `data:image/svg+xml;charset=utf-8,${encodeURIComponent(data.picture)}` });
  const fill = data.backfill;
  return [
    data.warnings.map((text) => h("p", { class: "notice" }, text)),
    h("p", null, `Generation ${data.generation}, ${data.state}, group `, h("code", null, data.group),
      ` (${data.group_state}, ${data.members} member${data.members === 1 ? "" : "s"})`),
    fill.state && h("p", null, `Backfill ${fill.state}: ${number(fill.rows_applied)} of ` +
      `${number(fill.rows_total ?? fill.rows_read)} rows` + (data.backfill_left_s && fill.state !== "done" ?
      `, ${spoken(data.backfill_left_s)} left` : "") + (fill.rows_dlq ? `, ${number(fill.rows_dlq)} dead letters` : "")),
    h("div", { class: "timeline wide", tabindex: "0", role: "region", "aria-label": "The timeline", "data-key": "timeline" }, image),
    key("marks", "The timeline as a table", null, table("Timeline", ["From", "What", ...data.lanes.map(([lane]) => lane)],
      [["before", "", ...data.lanes.map(([lane]) => data.before.includes(lane) ? "yes" : "")],
        ...data.marks.map((mark) => [time(mark.at), mark.what,
          ...data.lanes.map(([lane]) => mark.lanes.includes(lane) ? "yes" : "")])])),
    table("Partitions", ["Partition", "Log begins", "Start", "Committed", "End", "Lag", "Can be replayed until"],
      data.partitions.map((one) => [`${one.topic}/${one.partition}`, number(one.log_start), number(one.start),
        number(one.committed), number(one.end), number(one.lag),
        one.replayable ? time(one.replay_until) || "yes" : h("span", { class: "bad" }, "no more")]), { class: "figures" }),
  ];
}

export function books(data) {
  if (!data) return [h("p", { class: "dim" }, "The stream has booked nothing.")];
  const columns = ["consumed", "applied", "duplicate", "stale", "dlq", "unbooked", "passed_over"];
  const pairs = Object.values(data.pairs).reduce((a, b) => a + b, 0);
  return [
    h("p", null, "Pairs: ", Object.entries(data.pairs).map(([state, count]) => `${number(count)} ${state}`).join(", ") || "none"),
    pairs ? bar(Object.fromEntries(Object.entries(data.pairs).map(([state, count]) =>
      [state === "COMPLETE" ? "done" : state.includes("INCOMPLETE") ? "waiting" : "stopped", count])), pairs, "Pairs by state") : null,
    data.unbalanced ? h("p", { class: "bad" }, `${number(data.unbalanced)} complete pairs do not cancel.`) : null,
    h("p", { class: data.off ? "bad" : "good" }, data.off ? `The books are off by ${number(data.off)}.` :
      data.unread.length ? "" : "The books hold: consumed = applied + duplicate + stale + DLQ."),
    data.unread.length ? h("p", { class: "warn" }, `Never read: ${data.unread.join(", ")}`) : null,
    table("Books", ["Partition", ...columns.map((name) => name.replace("_", " "))], data.partitions.map((one) =>
      [`${one.topic}/${one.partition}`, ...columns.map((name) => number(one[name]))]), { class: "figures" }),
  ];
}

export function letters(data, chosen, act) {
  const total = Object.values(data.classes).reduce((a, b) => a + b, 0);
  const pick = (name, text) => h("button", { type: "button", "data-key": `class-${name}`, "aria-pressed": String(chosen.class === name),
    onclick: () => act.letters({ class: chosen.class === name ? "" : name, page: 1 }) }, text);
  return [
    h("p", null, `${number(total)} dead letter${total === 1 ? "" : "s"}${chosen.all ? "" : " that nobody has resolved"}`),
    h("div", { class: "filter" },
      h("div", { class: "states", role: "group", "aria-label": "Only this class" },
        Object.entries(data.classes).map(([name, count]) => pick(name, `${name} ${number(count)}`))),
      h("button", { type: "button", "data-key": "letters-all", "aria-pressed": String(chosen.all),
        onclick: () => act.letters({ all: !chosen.all, page: 1 }) }, "Resolved too")),
    data.letters.length ? table("Dead letters", ["Number", "Since", "Class", "Place", "Why", "Bytes"], data.letters.map((one) => [
      plain(`letter-${one.id}`, one.id, () => act.letter(one.id), `Dead letter ${one.id}: see its content`), time(one.at),
      h("span", { class: one.resolved ? "good" : "bad" }, one.class, one.resolved ? " (resolved)" : ""),
      h("code", null, one.place), h("span", { class: "says" }, one.detail), number(one.size)])) : null,
    data.more || data.page > 1 ? h("nav", { class: "pager", "aria-label": "Pages of dead letters" },
      h("button", { type: "button", "data-key": "l-before", disabled: data.page <= 1,
        onclick: () => act.letters({ page: data.page - 1 }) }, "Newer"), h("span", null, `Page ${data.page}`),
      h("button", { type: "button", "data-key": "l-next", disabled: !data.more,
        onclick: () => act.letters({ page: data.page + 1 }) }, "Older")) : null,
  ];
}

export function letter(one, replay) {
  return [
    h("dl", null, pair("Place", h("code", null, one.place)), pair("Since", time(one.at)),
      one.resolved ? pair("Resolved", time(one.resolved)) : null,
      pair("Why", `${one.class}: ${one.detail}`), pair("Key", one.key === null ? "none" : h("code", null, one.key)),
      pair("Payload", one.payload === null ? "none" : `${number(one.size)} bytes`)),
    one.payload === null ? null : h("pre", { tabindex: "0" }, one.payload),
    one.left > 0 ? h("p", { class: "dim" }, `${number(one.left)} more bytes: txplan dlq show ENV ${one.id} --full`) : null,
    h("p", { class: "dim" }, "What is not plainly printable is escaped. This look is in the audit."),
    replay ? h("p", null, h("button", { type: "button", onclick: replay }, "Replay it"),
      h("span", { class: "dim" }, " the way of a fresh record; the total order decides as ever"), h("span", { id: "replayed", role: "status" })) : null,
  ];
}

const pair = (name, value) => [h("dt", null, name), h("dd", null, value)];

export function step(one, act) {
  return [
    h("p", null, badge(one.state), ` ${one.action} `, one.seconds !== null ? `in ${spoken(one.seconds)}` : "",
      one.began ? since(one.began, one.expected_s) : ""),
    one.diagnostic ? h("div", { class: "notice" }, h("p", null, h("strong", { class: "bad" }, one.diagnostic.summary),
      h("span", { class: "dim" }, ` (${one.diagnostic.code})`)), one.diagnostic.detail ? h("pre", { tabindex: "0" }, one.diagnostic.detail) : null,
    one.diagnostic.mend ? h("p", null, `mend: ${one.diagnostic.mend}`) : null) : one.says ? h("p", null, one.says) : null,
    one.reasons.length ? [h("h3", null, "Why"), h("ul", null, one.reasons.map((text) => h("li", null, text)))] : null,
    one.values.length ? [h("h3", null, "Values"), table("Values", ["Value", "Before", "After"], one.values)] : null,
    Object.keys(one.result).length ? [h("h3", null, "Result"),
      h("dl", null, Object.entries(one.result).map(([name, value]) => pair(name, value)))] : null,
    one.waits_for.length ? [h("h3", null, "Waits for"), h("ul", null, one.waits_for.slice(0, 200).map((other) => h("li", null,
      plain(`w-${other.address}`, other.address, () => act.step(other.address)), " ", badge(other.state))))] : null,
  ];
}

export function evidence(data) {
  if (!data.length) return [h("p", { class: "dim" }, "There is none: a whole apply that ends green leaves it.")];
  return [h("p", { class: "dim" }, "The newest first. Whether what is live still is what a record says: txplan evidence verify."),
    data.map((one, place) => h("div", { class: `tile ${one.problems.length ? "no-data" : ""}` },
      h("p", null, h("code", null, one.id.slice(0, 12)), ` ${time(one.at)} `,
        one.problems.length ? h("span", { class: "warn" }, "no ground to build on") : h("span", { class: "good" }, "green and fresh"),
        one.run ? h("span", { class: "dim" }, ` · by ${one.by} on ${one.on} · run ${one.run} · schema ${one.head} · code ${one.code.slice(0, 12)}`) : ""),
      one.problems.length ? h("ul", null, one.problems.map((text) => h("li", null, text))) : null,
      one.overrides?.length ? h("p", { class: "warn" }, one.overrides.map((o) => `${o.guardrail} was overridden: ${o.reason}`).join("; ")) : null,
      one.proofs?.length ? key(`evidence-${one.id}`, `${one.proofs.length} proofs`, { open: false },
        h("ul", null, one.proofs.map((proof) => h("li", null, badge(proof.outcome), ` ${proof.step}: ${proof.says}`)))) : null))];
}
