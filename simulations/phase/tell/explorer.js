"use strict";
(() => {
const page = document.documentElement;
page.dataset.errors = "";
window.addEventListener("error", (event) => {
  page.dataset.errors += `${event.message}; `;
  const box = document.getElementById("trouble");
  box.hidden = false;
  box.textContent = `The page could not be drawn: ${event.message}`;
});

const data = JSON.parse(document.getElementById("data").textContent);
const { about, readings, denoisers } = data;
const sizes = about.train_sizes, levels = about.levels;
const NO_LAW = about.relative;
const MEASURES = {
  recovery: "recovery: share of corrupted tokens restored",
  "best change": "best change: share of corrupted tokens restored by the likeliest other token",
  "all-token recovery": "all-token recovery: share of all tokens right",
  entropy: "entropy of the law of a token, nats",
  "log loss": "log loss of the true token, nats",
  "single-token recovery": "single-token recovery at t → 0",
};
const NAMES = { train: "training", heldout: "held-out" };
const MARGIN = { left: 46, right: 14, top: 14, bottom: 42 };
const state = { k: 0, t: 0, d: denoisers[0].name, r: readings[0].name, all: false };

// ---------------------------------------------------------------- small helpers
const byId = (id) => document.getElementById(id);
const denoiser = () => denoisers.find((one) => one.name === state.d);
const reading = () => readings.find((one) => one.name === state.r);
const isNumber = (value) => typeof value === "number";
const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

function make(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}
function svg(tag, attributes = {}, ...children) {
  return filled(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}
function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}
function nearest(list, value, scale = (x) => x) {
  const away = list.map((one) => Math.abs(scale(one) - scale(value)));
  return away.indexOf(Math.min(...away));
}
function number(value) {
  if (!isNumber(value)) return "–";
  return value !== 0 && Math.abs(value) < 5e-4 ? value.toExponential(1) : value.toFixed(3);
}
function size(value) {
  if (value === "below") return `<${count(sizes[0])}`;
  if (value === "above") return `>${count(sizes[sizes.length - 1])}`;
  if (!isNumber(value)) return "–";
  return Number(value.toPrecision(3)).toLocaleString("en");
}
const count = (value) => value.toLocaleString("en");
const interval = (low, high, write = number) =>
  low === null || high === null ? "(no interval)" : `[${write(low)}, ${write(high)}]`;

// The level of the chosen reading: the slider's, or the only one that it has.
function place(r = reading()) {
  const found = r.levels.indexOf(levels[state.t]);
  return found < 0 ? 0 : found;
}
const level = (t) => (t < 1e-3 ? t.toExponential() : String(t));
const fixedLevel = (r = reading()) => !r.levels.includes(levels[state.t]);
const point = () => data.curves[state.d][state.r][place()];

// ---------------------------------------------------------------- the address
function readHash() {
  const words = new URLSearchParams(location.hash.slice(1));
  const k = Number(words.get("K")), t = Number(words.get("t"));
  if (k > 0) state.k = nearest(sizes, k, Math.log);
  if (t > 0) state.t = nearest(levels, t);
  if (denoisers.some((one) => one.name === words.get("d"))) state.d = words.get("d");
  if (readings.some((one) => one.name === words.get("r"))) state.r = words.get("r");
}
function writeHash() {
  const words = new URLSearchParams({ K: sizes[state.k], t: levels[state.t], d: state.d,
    r: state.r });
  try {
    history.replaceState(null, "", `#${words}`);
  } catch {
    location.hash = words; // where a file may not rewrite its address
  }
}

// ---------------------------------------------------------------- words
function verdict() {
  const K = `K = ${count(sizes[state.k])}`, name = `the ${denoiser().title}`;
  const measured = sizes.filter((_, i) => denoiser().measured[i]).map(count).join(", ");
  if (!denoiser().measured[state.k]) {
    return [`At ${K} ${name} was not measured; it was at K = ${measured}.`];
  }
  const M = point().M?.[state.k], G = point().G?.[state.k];
  const where = `At ${K} and t = ${
    level(fixedLevel() ? reading().levels[0] : levels[state.t])} `;
  if (!point().M) {
    return [`${where}M and G of ${name} are not defined: it was measured at too few K.`];
  }
  const values = ` (M = ${M ? number(M[0]) : "undefined"}, G = ${G ? number(G[0]) : "undefined"})`;
  const does = (part, word) => part === undefined || part === null
    ? `cannot be judged on ${word === "memorizes" ? "training" : "held-out"} sequences (the two `
      + "ends meet)"
    : `${part[0] >= 0.5 ? word : `${word === "memorizes" ? "does not memorize"
      : "does not generalize"}`}`;
  let phase;
  if (!M || !G) phase = `${does(M, "memorizes")} and ${does(G, "generalizes")}`;
  else if (M[0] >= 0.5) {
    phase = G[0] >= 0.5 ? "memorizes and generalizes both" : "memorizes and does not generalize";
  } else phase = G[0] >= 0.5 ? "generalizes and does not memorize" : "does neither: its memory is lost, the law not found";
  return [`${where}${name} `, make("b", {}, phase), `${values}.`];
}

function bandCell(key, band, none = "not measured") {
  const row = band?.[state.k];
  if (!row) return make("td", { "data-key": key, "data-value": "" }, none);
  return make("td", { "data-key": key, "data-value": row[0] }, number(row[0]),
    make("span", { class: "ci" }, interval(row[1], row[2])));
}
function shareCell(key, shares) {
  const share = shares?.[state.k];
  return make("td", { "data-key": key, "data-value": share ?? "" },
    isNumber(share) ? number(share) : "not measured");
}

function drawNumbers() {
  const here = point(), cells = data.cells[state.d], is = denoiser().measured[state.k];
  const columns = ["own", "memorizer", ...(NO_LAW ? [] : ["law"])];
  const titles = { own: denoiser().title, memorizer: "optimal memorizer", law: "exact law" };
  const table = byId("numbers");
  table.replaceChildren(make("thead", {}, make("tr", {}, make("th", { scope: "col" }, ""),
    ...columns.map((name) => make("th", { scope: "col" }, titles[name])))));
  const row = (label, small, cell) => make("tr", {}, make("th", { scope: "row" }, label,
    make("span", { class: "small" }, small)), ...columns.map(cell));
  const shown = (name) => name !== "own" || is;
  const body = make("tbody");
  for (const split of ["train", "heldout"]) {
    const small = fixedLevel() ? "t → 0" : `t = ${levels[state.t]}`;
    body.append(row(`${state.r}, ${NAMES[split]}`, small, (name) => bandCell(`${name}-${split}`,
      shown(name) ? (name === "own" ? here : here[name])?.[split] : null)));
  }
  for (const split of ["train", "heldout"]) {
    body.append(row(`fixed points, ${NAMES[split]}`, "share of sequences kept",
      (name) => shareCell(`${name}-fixed-${split}`, shown(name) ? cells[name].fixed[split] : null)));
  }
  body.append(row("entropy, training", "t → 0, nats a token",
    (name) => bandCell(`${name}-entropy`, shown(name) ? cells[name].entropy : null)));
  body.append(row("vanishing entropies, training", `tokens below ${about.epsilon} nats`,
    (name) => bandCell(`${name}-vanishing`, shown(name) ? cells[name].vanishing : null)));
  table.append(body);
  byId("numbers-note").textContent =
    `In brackets: 95 % intervals (${denoiser().method}; seeds: ${denoiser().seeds}). `
    + "Fixed points are sequences that the likeliest tokens leave as they are. "
    + `Entropy: how unsure it is of a token, given all the others, at t = ${level(about.small_level)}. `
    + (NO_LAW ? "No law of this source is known: M and G are relative to the largest K. " : "");
}

function drawOrder() {
  const here = point(), ordered = Boolean(here.M) && denoiser().measured[state.k];
  const law = NO_LAW ? "itself at the largest K" : "exact law";
  const item = (key, kind, label, value, extra) => make("div", { class: kind },
    make("dt", {}, label), make("dd", { "data-key": key, "data-value": value ?? "",
      class: isNumber(value) || value === "below" || value === "above" ? "" : "no" }, ...extra));
  const fraction = (key, kind, label) => {
    const row = here[key]?.[state.k];
    const none = !denoiser().measured[state.k] ? "not measured at this K"
      : ordered ? "undefined: the two ends meet" : "not defined: measured at too few K";
    return item(key, kind, label, row && ordered ? row[0] : null, row && ordered
      ? [number(row[0]), " ", make("span", { class: "ci" }, interval(row[1], row[2]))] : [none]);
  };
  const passage = (key, kind, label) => {
    const found = here[key];
    if (!found || found.value === null) {
      return item(key, kind, label, null, [found ? "undefined" : "not defined: measured at too few K"]);
    }
    const ends = { below: "below the smallest K measured", above: "above the largest K measured" };
    const words = isNumber(found.value) ? [size(found.value), " "] : [ends[found.value], " "];
    words.push(make("span", { class: "ci" }, interval(found.low, found.high, size)));
    if (found.relative) words.push(" (relative)");
    return item(key, kind, label, found.value, words);
  };
  const window_ = here.window;
  byId("order").replaceChildren(
    fraction("M", "memory", `M, memory fraction: 1 = optimal memorizer, 0 = ${law}`),
    fraction("G", "generalization", `G, generalization fraction: 1 = ${law}, 0 = memorizer`),
    passage("K_M", "memory", "K_M, where M falls below 1/2: memory is lost"),
    passage("K_G", "generalization", "K_G, where G rises above 1/2: the law is found"),
    item("window", "", "window K_M / K_G: above 1, both hold in between",
      window_ ? window_[0] : null, window_ ? [size(window_[0]), " ",
        make("span", { class: "ci" }, interval(window_[1], window_[2], size))]
        : ["undefined: a size is missing"]));
}

// ---------------------------------------------------------------- pictures
function frame(id, height, top, low, high, label, words) {
  const width = Math.max(byId(id).clientWidth, 260);
  const ends = [Math.log(sizes[0]), Math.log(sizes[sizes.length - 1])];
  const pad = 0.06 * (ends[1] - ends[0]) || 1;
  const inner = width - MARGIN.left - MARGIN.right, tall = height - top - MARGIN.bottom;
  const x = (K) => MARGIN.left
    + inner * (Math.log(K) - ends[0] + pad) / (ends[1] - ends[0] + 2 * pad);
  const y = (value) => top + tall * (high - value) / (high - low);
  const box = { left: MARGIN.left, right: width - MARGIN.right, top, bottom: height - MARGIN.bottom };
  const root = svg("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img",
    "aria-label": words });
  const clip = `clip-${id}`;
  root.append(svg("defs", {}, svg("clipPath", { id: clip }, svg("rect", { x: box.left, y: top,
    width: inner, height: tall }))));
  const ticks = svg("g", { class: "tick" });
  let last = Infinity;
  for (const K of [...sizes].reverse()) {
    const text = count(K), half = 3.6 * text.length;
    if (x(K) + half > last - 8) continue;
    last = x(K) - half;
    ticks.append(svg("line", { x1: x(K), x2: x(K), y1: box.bottom, y2: box.bottom + 4,
      class: "axis" }), svg("text", { x: x(K), y: box.bottom + 17, "text-anchor": "middle" }, text));
  }
  const step = [0.05, 0.1, 0.2, 0.25, 0.5, 1, 2, 5, 10].find((s) => (high - low) / s <= 6.01) || 20;
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + 1e-9; i++) {
    const at = y(i * step);
    ticks.append(svg("line", { x1: box.left, x2: box.right, y1: at, y2: at, class: "grid" }),
      svg("text", { x: box.left - 6, y: at + 4, "text-anchor": "end" },
        String(Number((i * step).toFixed(2)))));
  }
  ticks.append(svg("text", { x: (box.left + box.right) / 2, y: height - 6,
    "text-anchor": "middle" }, "training-set size K (logarithmic)"));
  root.append(ticks, svg("text", { x: 2, y: 12 }, label));
  root.append(svg("path", { class: "axis",
    d: `M${box.left} ${top}V${box.bottom}H${box.right}` }));
  const body = svg("g", { "clip-path": `url(#${clip})` });
  root.append(body);
  byId(id).replaceChildren(root);
  root.addEventListener("click", (event) => {
    const at = root.getBoundingClientRect();
    const px = (event.clientX - at.left) * width / at.width;
    const py = (event.clientY - at.top) * height / at.height;
    const off = sizes.map((K) => Math.abs(x(K) - px));
    state.k = off.indexOf(Math.min(...off));
    if (id === "plane") {
      const rows = levels.map((t) => Math.abs(y(t) - py));
      state.t = rows.indexOf(Math.min(...rows));
    }
    update();
  });
  return { root, body, x, y, box, inside: (K) => clamp(x(K), box.left, box.right) };
}
const path = (points) => points.map(([x, y], i) => `${i ? "L" : "M"}${x.toFixed(1)} ${
  y.toFixed(1)}`).join("");
function runs(list) { // consecutive entries that are not null
  const found = [[]];
  for (const one of list) {
    if (one) found[found.length - 1].push(one);
    else found.push([]);
  }
  return found.filter((run) => run.length);
}
function line(picture, band, kind, measured = sizes.map(() => true)) {
  const known = sizes.map((K, i) => band?.[i] && [K, band[i][0]]);
  for (const run of runs(known.filter((_, i) => measured[i]))) { // over what was not measured
    picture.body.append(svg("path", { class: kind,
      d: path(run.map(([K, v]) => [picture.x(K), picture.y(v)])) }));
  }
}
function marks(picture, band, kind, low, high) {
  const own = kind.split(" ")[0];
  sizes.forEach((K, i) => {
    if (!band?.[i]) return;
    const [value, from, to] = band[i], x = picture.x(K), y = picture.y(value);
    if (from !== null) {
      picture.body.append(svg("line", { class: `${own} bar`, x1: x, x2: x, y1: picture.y(from),
        y2: picture.y(to) }));
    }
    if (value >= low && value <= high) {
      picture.root.append(svg("circle", { class: kind, cx: x, cy: y, r: 5 }));
    } else {
      const edge = value > high ? picture.box.top : picture.box.bottom, up = value > high ? 9 : -9;
      picture.root.append(svg("path", { class: kind,
        d: `M${x} ${edge}L${x - 6} ${edge + up}H${x + 6}Z` }));
    }
  });
}
function chosenSize(picture) {
  const x = picture.x(sizes[state.k]);
  picture.body.append(svg("line", { class: "chosen", x1: x, x2: x, y1: picture.box.top,
    y2: picture.box.bottom }));
}
function legend(id, entries) {
  byId(id).replaceChildren(...entries.map(([shapes, words]) => make("li", {},
    svg("svg", { width: 34, height: 14, "aria-hidden": "true" }, ...shapes), words)));
}
const swatch = (kind) => svg("line", { class: kind, x1: 1, x2: 33, y1: 7, y2: 7 });
const dot = (kind) => svg("circle", { class: kind, cx: 17, cy: 7, r: 4.5 });

function drawCurves() {
  const here = point(), r = reading();
  const bands = [here.train, here.heldout, ...(here.law ? [here.law.train, here.law.heldout] : [])];
  const most = Math.max(...bands.flat().filter(Boolean).map((row) => row[2] ?? row[0]),
    r.chance ?? 0);
  const high = r.unit ? 1.2 * (most || 1) : 1.02;
  const name = denoiser().title;
  const picture = frame("curves", 300, 24, 0, high, MEASURES[state.r],
    `${state.r} of the ${name} against K, on training and on held-out sequences`);
  for (const [end, kind] of [["memorizer", "memorizer"], ["law", "law"]]) {
    line(picture, here[end]?.train, kind);
    line(picture, here[end]?.heldout, `${kind} second`);
  }
  if (r.chance !== null) {
    picture.body.append(svg("line", { class: "chance", x1: picture.box.left,
      x2: picture.box.right, y1: picture.y(r.chance), y2: picture.y(r.chance) }));
  }
  chosenSize(picture);
  line(picture, here.train, "train", denoiser().measured);
  line(picture, here.heldout, "heldout", denoiser().measured);
  marks(picture, here.train, "train full", 0, high);
  marks(picture, here.heldout, "heldout open", 0, high);
  legend("curves-legend", [
    [[swatch("train"), dot("train full")], `${name}, training sequences`],
    [[swatch("heldout"), dot("heldout open")], `${name}, held-out sequences`],
    [[swatch("memorizer")], "optimal memorizer, training"],
    [[swatch("memorizer second")], "optimal memorizer, held-out"],
    ...(NO_LAW ? [] : [[[swatch("law")], "exact law, training"],
      [[swatch("law second")], "exact law, held-out"]]),
    ...(r.chance === null ? [] : [[[swatch("chance")], `a uniform guess, ${number(r.chance)}`]]),
  ]);
  const beyond = (here.memorizer?.heldout ?? []).filter((row) => row && row[0] > high);
  byId("curves-note").textContent = (fixedLevel()
    ? `This reading is taken at t = ${level(r.levels[0])} alone, whatever the slider says. ` : "")
    + (beyond.length ? `The memorizer's held-out curve leaves the picture, up to ${
      number(Math.max(...beyond.map((row) => row[0])))}. ` : "")
    + "Bars: 95 % intervals. Dotted upright line: the chosen K.";
}

function drawOrderPlot() {
  const here = point(), low = -0.25, high = 1.25;
  const picture = frame("order-plot", 300, 24, low, high, "fraction",
    `memory fraction M and generalization fraction G of the ${denoiser().title} against K`);
  const { box, x, y } = picture;
  picture.body.append(svg("line", { class: "half", x1: box.left, x2: box.right, y1: y(0.5),
    y2: y(0.5) }));
  chosenSize(picture);
  for (const [key, kind, row] of [["K_M", "train", 0], ["K_G", "heldout", 1]]) {
    const value = here[key]?.value;
    if (!isNumber(value)) continue;
    picture.body.append(svg("line", { class: kind, x1: x(value), x2: x(value), y1: y(0.5),
      y2: box.bottom }));
    const other = here[row ? "K_M" : "K_G"].value;
    const before = isNumber(other) && value < other ? x(value) > box.left + 80
      : x(value) > box.right - 90;
    picture.root.append(svg("text", { class: "name", x: x(value) + (before ? -5 : 5),
      y: box.bottom - 8 - 16 * row, "text-anchor": before ? "end" : "start" },
    `${key} = ${size(value)}`));
  }
  line(picture, here.M, "train", denoiser().measured);
  line(picture, here.G, "heldout", denoiser().measured);
  marks(picture, here.M, "train full", low, high);
  marks(picture, here.G, "heldout open", low, high);
  legend("order-legend", [
    [[swatch("train"), dot("train full")], "M: memory, on training sequences"],
    [[swatch("heldout"), dot("heldout open")], "G: generalization, on held-out sequences"],
  ]);
}

function hatch(id, kind, d) {
  return svg("pattern", { id, width: 10, height: 10, patternUnits: "userSpaceOnUse" },
    svg("path", { class: kind, d }));
}
function drawPlane() {
  const r = reading(), curves = data.curves[state.d][state.r];
  const top = Math.min(1, Math.max(...levels) * 1.12 + 0.02);
  const picture = frame("plane", byId("plane").clientWidth > 480 ? 430 : 340, 24, 0, top, "noise level t",
    `plane of K and t: where the ${denoiser().title} memorizes and generalizes, by ${state.r}`);
  const { root, body, x, y, box, inside } = picture;
  root.querySelector("defs").append(
    hatch("hatch-memory", "stripe-memory", "M-2 2L2 -2M-2 12L12 -2M8 12L12 8"),
    hatch("hatch-law", "stripe-law", "M-2 -2L12 12M-2 8L2 12M8 -2L12 2"));
  const edge = (found) => {
    if (!found || found.value === null) return null;
    if (found.value === "below") return box.left;
    return found.value === "above" ? box.right : inside(found.value);
  };
  const rows = r.levels.map((t, i) => ({ t, y: y(t), m: edge(curves[i].K_M),
    g: edge(curves[i].K_G), K_M: curves[i].K_M, K_G: curves[i].K_G }));
  for (const [key, side, fill] of [["m", box.left, "in-memory"], ["g", box.right, "in-law"]]) {
    for (const run of runs(rows.map((row) => (row[key] === null ? null : row)))) {
      const wide = run.length === 1 ? [[run[0][key], run[0].y - 8], [run[0][key], run[0].y + 8]]
        : run.map((row) => [row[key], row.y]);
      const d = `${path([[side, wide[0][1]], ...wide, [side, wide[wide.length - 1][1]]])}Z`;
      body.append(svg("path", { class: fill, d }));
    }
  }
  const collapse = data.information.map(([t, nats]) => [x(Math.exp(nats)), y(t)]);
  if (collapse.length) body.append(svg("path", { class: "collapse", d: path(collapse) }));
  for (const K of sizes) {
    for (const t of levels) body.append(svg("circle", { class: "dot", cx: x(K), cy: y(t), r: 1.6 }));
  }
  for (const [key, name, kind, mark] of [["m", "K_M", "train", "train full"],
    ["g", "K_G", "heldout", "heldout open"]]) {
    const other = key === "m" ? -2 : 2; // so that two bars at one level are both seen
    for (const run of runs(rows.map((row) => (isNumber(row[name]?.value) ? row : null)))) {
      body.append(svg("path", { class: kind, d: path(run.map((row) => [row[key], row.y])) }));
    }
    for (const row of rows.filter((one) => one[key] !== null)) {
      const { value, low, high } = row[name];
      if (low !== null && high !== null) {
        const ends = [low, high].map((end) => edge({ value: end }));
        body.append(svg("line", { class: `${kind} bar`, x1: ends[0], x2: ends[1],
          y1: row.y + other, y2: row.y + other }));
      }
      if (isNumber(value)) {
        root.append(svg("circle", { class: mark, cx: row[key], cy: row.y, r: 4.5 }));
      } else {
        const out = value === "below" ? 8 : -8;
        root.append(svg("path", { class: mark,
          d: `M${row[key]} ${row.y}l${out} -5v10Z` }));
      }
    }
  }
  const regions = {
    memory: ({ m, g }) => m !== null && [box.left, g === null ? m : Math.min(m, g)],
    both: ({ m, g }) => m !== null && g !== null && [g, m],
    neither: ({ m, g }) => m !== null && g !== null && [m, g],
    generalization: ({ m, g }) => g !== null && [m === null ? g : Math.max(m, g), box.right],
  };
  for (const [name, region] of Object.entries(regions)) {
    const all = rows.map((row) => ({ y: row.y, ends: region(row) || [0, 0] }));
    const width = (one) => one.ends[1] - one.ends[0];
    const wide = all.filter((one) => width(one) > 8 * name.length + 24);
    const found = wide[Math.floor(wide.length / 2)]
      ?? all.reduce((one, two) => (width(two) > width(one) ? two : one));
    if (width(found) < 16) continue;
    const inner = rows.length > 1 && found.y === all[all.length - 1].y ? found.y + 22 : found.y - 12;
    root.append(svg("text", { class: "name", x: (found.ends[0] + found.ends[1]) / 2,
      "text-anchor": "middle", y: clamp(inner, box.top + 16, box.bottom - 8) }, name));
  }
  const cx = x(sizes[state.k]), cy = y(levels[state.t]);
  body.append(svg("line", { class: "chosen", x1: cx, x2: cx, y1: box.top, y2: box.bottom }),
    svg("line", { class: "chosen", x1: box.left, x2: box.right, y1: cy, y2: cy }));
  root.append(svg("circle", { class: "ring", cx, cy, r: 9 }));
  const area = (kind) => svg("rect", { class: kind, width: 34, height: 14 });
  legend("plane-legend", [
    [[area("in-memory")], "memorizes (M above 1/2)"],
    [[area("in-law")], "generalizes (G above 1/2); crossed: both"],
    [[swatch("train"), dot("train full")], "K_M: memory is lost"],
    [[swatch("heldout"), dot("heldout open")], "K_G: the law is found"],
    ...(collapse.length
      ? [[[swatch("collapse")], "log K = I(x₀; xₜ): right of it even the memorizer loses its own"]]
      : []),
    [[dot("ring")], "the chosen point"],
  ]);
  const none = rows.every((row) => row.m === null && row.g === null);
  byId("plane-note").textContent = (none ? "No K_M and K_G of this denoiser are known. " : "")
    + `By the chosen reading, ${state.r}. Grey dots: what was measured; click to choose the `
    + "nearest. Arrowheads at an edge: beyond the K measured. Bars: 95 % intervals.";
}

// ---------------------------------------------------------------- sequences
function tokenRow(label, tokens, clean, noisy, kind) {
  const cells = tokens.map((token, i) => {
    const same = token === clean[i], changed = noisy && noisy[i] !== clean[i];
    let mark = "", word = "";
    if (kind === "noisy" && !same) [mark, word] = ["changed", "changed by the noise"];
    else if (kind === "restored" && same && changed) [mark, word] = ["right", "restored"];
    else if (kind !== "noisy" && !same) [mark, word] = ["wrong", "wrong"];
    const box = make("span", { class: `tok ${mark}` },
      token < about.vocab_size ? String(token) : "▒");
    if (word) {
      box.title = `${word}; clean: ${clean[i]}`;
      box.append(make("span", { class: "away" }, ` (${word})`));
    }
    return make("td", {}, box);
  });
  return make("tr", { "data-row": kind }, make("th", { scope: "row" }, label), ...cells);
}
function exampleTable(split, e) {
  const rows = data.examples[split], clean = rows.clean[state.k][e];
  const at = (name) => rows[name][state.k][state.t][e];
  const noisy = at("noisy"), restored = at("restored");
  const caption = make("p", { class: "quiet" });
  const body = make("tbody", {}, tokenRow("clean", clean, clean, null, "clean"));
  for (const [name, label] of [["noisy", "corrupted"], ["restored", "restored"],
    ["nearest", "nearest stored"], ["attractor", "attractor"]]) {
    if (at(name)) body.append(tokenRow(label, at(name), clean, noisy, name));
  }
  const differ = (tokens) => tokens.filter((token, i) => token !== clean[i]).length;
  let words = `${e + 1}. `;
  if (noisy && restored) {
    const changed = differ(noisy);
    const back = restored.filter((v, i) => noisy[i] !== clean[i] && v === clean[i]).length;
    words += `${changed} changed by the noise, of which ${back} restored; ${
      differ(restored) - (changed - back)} others broken`;
    if (at("nearest")) {
      words += `; the nearest stored one is ${differ(at("nearest")) ? `another (differs in ${
        differ(at("nearest"))})` : "itself"}`;
    }
    if (at("attractor")) {
      words += `; the attractor is ${differ(at("attractor")) ? `another (differs in ${
        differ(at("attractor"))})` : "itself"}`;
    }
  }
  caption.textContent = words;
  return make("div", {}, caption, make("div", { class: "example", tabindex: "0", role: "region",
    "aria-label": `${NAMES[split]} sequence ${e + 1}` }, make("table", {}, body)));
}
function drawExamples() {
  const K = count(sizes[state.k]);
  const own = denoisers.find((one) => one.name === "trained") ?? denoiser();
  byId("examples-note").textContent =
    `Seed 0, K = ${K}, t = ${levels[state.t]}; tokens are numbers from 0 to ${
      about.vocab_size - 1}${about.channel === "uniform" ? "" : ", ▒ a mask"}. `
    + (state.d === own.name ? "" : `Always of the ${own.title}, whatever denoiser is chosen. `)
    + "Nearest stored: the training sequence nearest to the restored one. Attractor: where "
    + "replacing every token by the likeliest, again and again, ends from the corrupted sequence.";
  let more = 0;
  byId("examples").replaceChildren(...["train", "heldout"].map((split) => {
    const known = (data.examples[split].clean[state.k] ?? []).map((row, e) => (row ? e : -1))
      .filter((e) => e >= 0);
    more = Math.max(more, known.length - 3);
    return make("div", {}, make("h3", {}, `${NAMES[split]} sequences`),
      ...(known.length ? [] : ["None was kept."]),
      ...known.slice(0, state.all ? known.length : 3).map((e) => exampleTable(split, e)));
  }));
  byId("more").hidden = more <= 0;
  byId("more").textContent = state.all ? "show fewer" : "show all";
}

// ---------------------------------------------------------------- one update for all
function update() {
  byId("k").value = state.k;
  byId("t").value = state.t;
  byId("d").value = state.d;
  byId("r").value = state.r;
  byId("k-out").textContent = count(sizes[state.k]);
  byId("t-out").textContent = levels[state.t];
  byId("k").setAttribute("aria-valuetext", `K = ${count(sizes[state.k])}`);
  byId("t").setAttribute("aria-valuetext", `t = ${levels[state.t]}`);
  byId("verdict").replaceChildren(...verdict());
  drawOrder();
  drawNumbers();
  drawPlane();
  drawCurves();
  drawOrderPlot();
  drawExamples();
  writeHash();
  page.dataset.shown = `${sizes[state.k]} ${levels[state.t]} ${state.d} ${state.r}`;
}

byId("k").max = sizes.length - 1;
byId("t").max = levels.length - 1;
byId("d").append(...denoisers.map((one) => make("option", { value: one.name }, one.title)));
byId("r").append(...readings.map((one) => make("option", { value: one.name }, one.name)));
if (NO_LAW) byId("law-words").textContent = "it does itself at the largest K measured";
for (const id of ["k", "t"]) {
  byId(id).addEventListener("input", (event) => {
    state[id] = Number(event.target.value);
    update();
  });
}
for (const id of ["d", "r"]) {
  byId(id).addEventListener("change", (event) => {
    state[id] = event.target.value;
    update();
  });
}
byId("more").addEventListener("click", () => {
  state.all = !state.all;
  drawExamples();
});
window.addEventListener("hashchange", () => {
  readHash();
  update();
});
let width = window.innerWidth;
window.addEventListener("resize", () => {
  if (window.innerWidth === width) return; // a phone's bar that comes and goes
  width = window.innerWidth;
  update();
});
state.k = Math.floor(sizes.length / 2);
state.t = nearest(levels, 0.25);
readHash();
update();
})();
