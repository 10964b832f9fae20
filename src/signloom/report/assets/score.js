// Score and comparison pages: sortable tables, and the list of aligned utterances, from the page's block of data.
//
// The whole state is in the address (`#q=REGEN&sort=rate`), so that a view can be linked. Text from the data only ever
// becomes text nodes. Kinds: "C" correct, "S" substituted, "D" deleted, "I" inserted, as in the alignment.
(() => {
"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const KINDS = {S: "substituted", D: "deleted", I: "inserted"};
const PAGE = 25, ROWS = 12;
const word = index => data.words[index];
const lower = text => text.toLowerCase();
const order = new Intl.Collator(undefined, {numeric: true}).compare;
const percent = rate => rate === null ? "" : (100 * rate).toFixed(Math.abs(rate) < 0.1 ? 2 : 1) + " %";
const count = (n, one, many) => n.toLocaleString("en") + " " + (n === 1 ? one : many || one + "s");
// A text runs from right to left if its first letter that has a direction belongs to such a script.
const RIGHT_TO_LEFT = ["Arabic", "Hebrew", "Syriac", "Thaana", "Nko"].map(name => `\\p{Script=${name}}`).join("");
const STARTS_RIGHT = new RegExp(`^[^\\p{L}]*[${RIGHT_TO_LEFT}]`, "u");
const direction = text => STARTS_RIGHT.test(text) ? "rtl" : "ltr";

function el(tag, attributes, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {}))
    if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value === true ? "" : value);
  node.append(...children.filter(child => child !== null && child !== undefined && child !== false));
  return node;
}

// ---- state, in the address

const state = new Map();
let pending = 0;
const get = name => state.get(name) || "";
function readAddress() {
  state.clear();
  for (const [name, value] of new URLSearchParams(location.hash.slice(1))) if (value) state.set(name, value);
}
function set(changes, {push = false} = {}) {
  for (const [name, value] of Object.entries(changes)) if (value) state.set(name, value); else state.delete(name);
  const write = () => history[push ? "pushState" : "replaceState"](null, "", "#" + new URLSearchParams([...state]));
  // Browsers limit how often the address may change; fast typing would exceed that.
  clearTimeout(pending);
  if (push) write(); else pending = setTimeout(write, 250);
  show();
}
const FILTERS = ["q", "ref", "hyp", "signer", "length", "only"];
function filterLink(text, changes, title) {
  const link = el("a", {href: "#" + new URLSearchParams(changes), title}, text);
  link.addEventListener("click", event => { event.preventDefault(); follow(changes); });
  return link;
}
function follow(changes) {
  set({...Object.fromEntries(FILTERS.map(name => [name, ""])), ...changes}, {push: true});
  document.getElementById("utterances").scrollIntoView({block: "start"});
}

// ---- sortable tables of glosses and pairs

function sortable(id, columns, rows, first) {
  const root = document.getElementById(id);
  if (!root) return () => {};
  const head = el("tr"), body = el("tbody");
  const note = el("span", {class: "soft small"});
  const more = el("button", {type: "button"}, "Show more"), every = el("button", {type: "button"}, "Show all");
  const search = el("input", {type: "search", placeholder: "Find a gloss", "aria-label": "Find a gloss"});
  let shown = ROWS, drawn = null;
  const start = get(id + ".find");
  search.value = start;
  search.addEventListener("input", () => { shown = ROWS; set({[id + ".find"]: search.value.trim()}); });
  more.addEventListener("click", () => { shown += 4 * ROWS; draw(); });
  every.addEventListener("click", () => { shown = Infinity; draw(); });
  const heads = columns.map(column => {
    const button = el("button", {type: "button", title: column.title || null}, column.name);
    button.addEventListener("click", () => {
      const [key, down] = sorting();
      const falling = key === column.key ? !down : column.numeric;
      shown = ROWS;
      set({[id]: column.key + (falling ? "-" : "+")});
    });
    const cell = el("th", {class: column.numeric ? "number" : null, scope: "col"}, button);
    head.append(cell);
    return cell;
  });
  function sorting() {
    const chosen = get(id) || first;
    const key = chosen.slice(0, -1);
    return columns.some(column => column.key === key) ? [key, chosen.endsWith("-")] : [first.slice(0, -1), true];
  }
  function draw() {
    const view = [get(id), get(id + ".find"), shown].join("\n");
    if (view === drawn) return;
    drawn = view;
    const [key, down] = sorting(), wanted = lower(get(id + ".find"));
    if (document.activeElement !== search) search.value = get(id + ".find");
    const column = columns.find(item => item.key === key);
    columns.forEach((item, index) => heads[index].setAttribute(
      "aria-sort", item.key !== key ? "none" : down ? "descending" : "ascending"));
    const kept = rows.filter(row => !wanted || row.names.some(name => lower(name).includes(wanted)));
    const value = row => column.value(row);
    kept.sort((a, b) => {
      const [x, y] = [value(a), value(b)];
      // Rows without a value come last in both directions; ties keep the given order.
      if (x === null || y === null) return (x === null) - (y === null) || a.index - b.index;
      return (typeof x === "string" ? order(x, y) : x - y) * (down ? -1 : 1) || a.index - b.index;
    });
    const cell = (item, row) => el("td", {class: item.numeric ? "number" : null},
      item.show ? item.show(row) : item.value(row).toLocaleString("en"));
    body.replaceChildren(...kept.slice(0, shown).map(row => el("tr", {}, ...columns.map(item => cell(item, row)))));
    const rest = kept.length - Math.min(shown, kept.length);
    note.textContent = !kept.length ? "None." : rest ? `${shown} of ${kept.length.toLocaleString("en")}` : "";
    more.hidden = every.hidden = !rest;
  }
  root.append(
    el("div", {class: "tools"}, search),
    el("div", {class: "scroll"}, el("table", {class: "sortable"}, el("thead", {}, head), body)),
    el("div", {class: "tools"}, note, more, every));
  return draw;
}

const bdi = text => el("bdi", {}, text);
const meter = rate => el("span", {class: "meter"}, el("i", {style: `width:${Math.min(100, 100 * rate).toFixed(1)}%`}));
const number = (key, name, value, title, show) => ({key, name, numeric: true, title, value, show});

// ---- utterances

const systems = data.systems;
const pair = systems.length === 2;
const utterances = data.utterances.map(([id, signer, reference, sides, given], index) => {
  const errors = sides.map(([, kinds]) => kinds.length - kinds.split("C").length + 1);
  const others = (given || []).map(([, words]) => words);
  const used = new Set([reference, ...sides.map(([words]) => words), ...others].flat());
  const who = signer < 0 ? "" : data.signers[signer];
  return {id, index, signer: who, reference, sides, given, errors, length: reference.length,
    change: pair ? errors[1] - errors[0] : 0,
    kinds: sides.map(([, kinds]) => kinds).join(""),
    other: pair && sides[0][0].join() !== sides[1][0].join(),
    text: lower([id, who, ...[...used].map(word)].join("\n"))};
});

const ORDERS = pair ? {
  change: ["largest change", (a, b) => Math.abs(b.change) - Math.abs(a.change) || b.other - a.other],
  better: ["most improved", (a, b) => a.change - b.change],
  worse: ["most worsened", (a, b) => b.change - a.change],
  length: ["longest", (a, b) => b.length - a.length],
  id: ["id", (a, b) => order(a.id, b.id)],
  given: ["as in the file", () => 0],
} : {
  errors: ["most errors", (a, b) => b.errors[0] - a.errors[0] || a.length - b.length],
  rate: ["highest error rate", (a, b) => rate(b) - rate(a) || b.errors[0] - a.errors[0]],
  best: ["fewest errors", (a, b) => a.errors[0] - b.errors[0] || b.length - a.length],
  length: ["longest", (a, b) => b.length - a.length],
  id: ["id", (a, b) => order(a.id, b.id)],
  given: ["as in the file", () => 0],
};
const ONLY = pair ? {
  changed: ["changed", u => u.change || u.other],
  better: ["better", u => u.change < 0],
  worse: ["worse", u => u.change > 0],
  other: ["other glosses, as many errors", u => u.other && !u.change],
  same: ["unchanged", u => !u.other && !u.change],
  all: ["all", () => true],
} : {
  all: ["all", () => true],
  wrong: ["with errors", u => u.errors[0] > 0],
  S: ["with substitutions", u => u.kinds.includes("S")],
  D: ["with deletions", u => u.kinds.includes("D")],
  I: ["with insertions", u => u.kinds.includes("I")],
  right: ["without errors", u => u.errors[0] === 0],
};
const rate = u => u.length ? u.errors[0] / u.length : u.errors[0] ? Infinity : 0;
const pick = (table, name) => table[name] ? name : Object.keys(table)[0];
// The scorer ignores the case of a-z and compares other letters as they are.
const fold = text => text.replace(/[A-Z]/g, letter => letter.toLowerCase());
const same = (index, text) => index !== null && fold(word(index)) === fold(text);

// Columns of an alignment: the word of the reference, or null, and for each system a cell [kind, word], or null.
function columnsOf(u) {
  const gaps = [], cells = u.reference.map(() => []);
  u.sides.forEach(([words, kinds], side) => {
    let n = 0, m = 0;
    const seen = [];
    for (const kind of kinds) {
      if (kind === "I") {
        seen[n] = (seen[n] || 0) + 1;
        ((gaps[n] ||= [])[seen[n] - 1] ||= systems.map(() => null))[side] = ["I", words[m++]];
      } else cells[n++][side] = [kind, kind === "D" ? null : words[m++]];
    }
  });
  const columns = [];
  for (let n = 0; n <= u.reference.length; n++) {
    for (const column of gaps[n] || []) columns.push([null, column]);
    if (n < u.reference.length) columns.push([u.reference[n], cells[n]]);
  }
  return columns;
}
function isWanted(reference, [kind, hypothesis]) {
  if (kind === "C") return false;
  return (!get("ref") || same(reference, get("ref"))) && (!get("hyp") || same(hypothesis, get("hyp")));
}
function hasWanted(u) {
  return columnsOf(u).some(([reference, cells]) => cells.some(cell => cell && isWanted(reference, cell)));
}
function inLength(u, wanted) {
  const [low, high] = wanted.endsWith("+") ? [parseInt(wanted), Infinity] : wanted.split("-").map(Number);
  return u.length >= low && u.length <= (high === undefined ? low : high);
}

function aligned(u) {
  const marked = get("ref") || get("hyp");
  const terms = lower(get("q")).split(/\s+/).filter(Boolean);
  const text = index => {
    const name = word(index), found = terms.some(term => lower(name).includes(term));
    return el("bdi", {class: found ? "found" : null}, name);
  };
  const steps = columnsOf(u).map(([reference, cells]) => {
    const wanted = marked && cells.some(cell => cell && isWanted(reference, cell));
    const kind = pair ? "" : cells[0][0];
    const rows = cells.map(cell => {
      if (!cell) return el("span", {class: "cell none"});
      const [how, index] = cell;
      const plain = how === "C" && reference !== null && word(index) === word(reference);
      return el("span", {class: `cell ${how}`, title: KINDS[how] || "correct"},
        index === null ? null : plain ? el("span", {class: "tick"}, "✓") : text(index),
        how === "C" ? null : el("i", {class: "kind"}, how));
    });
    return el("span", {class: `step ${kind}${wanted ? " wanted" : ""}`},
      el("span", {class: "cell ref"}, reference === null ? null : text(reference)), ...rows);
  });
  if (!steps.length) return el("p", {class: "soft small"}, "Neither the reference nor the hypothesis has a gloss.");
  const names = pair && el("span", {class: "step names"}, el("span", {class: "cell"}, "ref"),
    el("span", {class: "cell"}, "A"), el("span", {class: "cell"}, "B"));
  const first = u.length ? word(u.reference[0]) : word(u.sides.find(side => side[0].length)[0][0]);
  return el("div", {class: "aligned", dir: direction(first)}, names, ...steps);
}
function sentence(indices) { return indices.map(word).join(" ") || "(no gloss)"; }

function item(u) {
  const tally = kinds => ["S", "D", "I"].map(kind => `${kind} ${kinds.split(kind).length - 1}`).join(" ");
  const figure = pair
    ? `A ${count(u.errors[0], "error")}, B ${u.errors[1]} in ${count(u.length, "gloss", "glosses")}`
    : `${count(u.errors[0], "error")} in ${count(u.length, "gloss", "glosses")}` + (u.errors[0] ? ` (${tally(u.kinds)})` : "")
      + (u.length && u.errors[0] ? `, ${percent(rate(u))}` : "");
  const trend = u.change < 0 ? "up" : u.change > 0 ? "down" : "";
  const badge = pair && (u.change || u.other) && el("span", {class: "chip " + trend},
    u.change < 0 ? `▲ better by ${-u.change}` : u.change > 0 ? `▼ worse by ${u.change}` : "other glosses");
  const given = u.given && el("p", {class: "soft small given"}, "Before the rule’s clean-up: ",
    ...u.given.flatMap(([name, words]) => [el("b", {}, name), " ", bdi(sentence(words)), " "]));
  return el("div", {class: "utterance", id: "u-" + u.index},
    el("div", {class: "head"},
      el("span", {}, el("b", {}, bdi(u.id)), u.signer ? " · " : "",
        u.signer ? filterLink(bdi(u.signer), {signer: u.signer}, "Show only this signer") : ""),
      el("span", {class: "soft"}, badge, figure)),
    aligned(u), given);
}

const [list, status, query, sort, only, chips, further] =
  ["list", "status", "q", "sort", "only", "chips", "further"].map(id => document.getElementById(id));
for (const [select, table] of [[sort, ORDERS], [only, ONLY]])
  for (const [name, [label]] of Object.entries(table)) select.append(el("option", {value: name}, label));
query.addEventListener("input", () => set({q: query.value.trim()}));
sort.addEventListener("change", () => set({sort: sort.value}));
only.addEventListener("change", () => set({only: only.value}));
further.addEventListener("click", () => grow());
let matching = [], drawn = 0, lastView = null;
function grow() {
  list.append(...matching.slice(drawn, drawn + PAGE).map(item));
  drawn = Math.min(matching.length, drawn + PAGE);
  further.hidden = drawn >= matching.length;
  further.textContent = `Show more (${(matching.length - drawn).toLocaleString("en")} left)`;
}
new IntersectionObserver(entries => { if (entries.some(entry => entry.isIntersecting) && !further.hidden) grow(); },
  {rootMargin: "600px"}).observe(further);

function showUtterances() {
  const view = [...FILTERS, "sort"].map(get).join("\n");
  if (view === lastView) return;
  lastView = view;
  const terms = lower(get("q")).split(/\s+/).filter(Boolean);
  const [, wanted] = ONLY[pick(ONLY, get("only"))], [, by] = ORDERS[pick(ORDERS, get("sort"))];
  matching = utterances.filter(u => wanted(u) && terms.every(term => u.text.includes(term))
    && (!get("signer") || u.signer === get("signer")) && (!get("length") || inLength(u, get("length")))
    && (!(get("ref") || get("hyp")) || hasWanted(u)));
  matching.sort((a, b) => by(a, b) || a.index - b.index);
  if (document.activeElement !== query) query.value = get("q");
  sort.value = pick(ORDERS, get("sort"));
  only.value = pick(ONLY, get("only"));
  const words = {ref: "wrong at", hyp: "wrongly recognised", signer: "signer", length: "glosses in the reference"};
  chips.replaceChildren(...Object.entries(words).filter(([name]) => get(name)).map(([name, label]) => {
    const button = el("button", {type: "button", class: "filter", title: "Remove this filter"},
      label + " ", el("b", {}, bdi(get(name))), " ✕");
    button.addEventListener("click", () => set({[name]: ""}));
    return button;
  }));
  status.textContent = `${matching.length.toLocaleString("en")} of ${count(utterances.length, "utterance")}`;
  list.replaceChildren();
  drawn = 0;
  grow();
  if (!matching.length) list.append(el("p", {class: "soft"}, "No utterance matches."));
}

// ---- the two tables

const rowsOf = (table, names) =>
  (data[table] || []).map((row, index) => ({row, index, names: row.slice(0, names).map(word)}));
const gloss = (key, name, column) => ({key, name, value: r => r.names[column], show: r => bdi(r.names[column])});
const linked = (value, changes) =>
  value ? filterLink(value.toLocaleString("en"), changes, "Show these utterances") : "0";
const share = rate => el("span", {}, meter(rate), percent(rate));
const missed = r => r.row[3] + r.row[4], invented = r => r.row[5] + r.row[6];
const gained = r => r.row[2] - r.row[3], fewer = r => r.row[4] - r.row[5];
readAddress();
const drawings = pair ? [
  sortable("glosses", [
    gloss("gloss", "gloss", 0),
    number("gain", "gained", gained, "missed by A minus missed by B",
      r => signed(gained(r), {ref: r.names[0], only: "all"})),
    number("fewer", "fewer invented", fewer, "invented by A minus invented by B",
      r => signed(fewer(r), {hyp: r.names[0], only: "all"})),
    number("occurs", "signed", r => r.row[1], "how often it is in the references"),
    number("a", "missed by A", r => r.row[2]),
    number("b", "missed by B", r => r.row[3]),
    number("ia", "invented by A", r => r.row[4]),
    number("ib", "invented by B", r => r.row[5]),
  ], rowsOf("glosses", 1), "gain-"),
] : [
  sortable("glosses", [
    gloss("gloss", "gloss", 0),
    number("occurs", "signed", r => r.row[1], "how often it is in the references"),
    number("missed", "missed", missed, "signed but not recognised: substituted or deleted",
      r => linked(missed(r), {ref: r.names[0]})),
    number("rate", "share missed", r => r.row[1] ? missed(r) / r.row[1] : null, "of the times it was signed",
      r => r.row[1] ? share(missed(r) / r.row[1]) : "never signed"),
    number("S", "S", r => r.row[3], "substituted: another gloss was recognised"),
    number("D", "D", r => r.row[4], "deleted: nothing was recognised"),
    number("invented", "invented", invented, "recognised but not signed: inserted, or in the place of another gloss",
      r => linked(invented(r), {hyp: r.names[0]})),
    number("I", "I", r => r.row[5], "invented glosses that are insertions"),
  ], rowsOf("glosses", 1), "missed-"),
  sortable("pairs", [
    gloss("ref", "signed", 0),
    gloss("hyp", "recognised", 1),
    number("count", "times", r => r.row[2], "how often", r => linked(r.row[2], {ref: r.names[0], hyp: r.names[1]})),
    number("rate", "share of signed", r => r.row[2] / r.row[3], "of the times the gloss was signed",
      r => share(r.row[2] / r.row[3])),
    number("occurs", "signed in total", r => r.row[3], "how often the gloss is in the references"),
  ], rowsOf("confusions", 2), "count-"),
];
function signed(value, changes) {
  const text = value > 0 ? "+" + value : value < 0 ? "−" + -value : "0";
  const link = value && filterLink(text, changes, "Show these utterances");
  return value ? el("span", {class: value > 0 ? "up" : "down"}, link) : text;
}
for (const button of document.querySelectorAll("button[data-set]"))
  button.addEventListener("click", () => set(Object.fromEntries(new URLSearchParams(button.dataset.set))));

// ---- links that set filters, in the parts of the page that are there without this script

for (const link of document.querySelectorAll("a[data-filter]"))
  link.addEventListener("click", event => {
    event.preventDefault();
    follow(Object.fromEntries(new URLSearchParams(link.dataset.filter)));
  });

function show() { drawings.forEach(draw => draw()); showUtterances(); }
addEventListener("hashchange", () => { readAddress(); show(); });
addEventListener("popstate", () => { readAddress(); show(); });
show();
document.documentElement.classList.add("ready");
})();
