// The head viewer: attention patterns of every head over training, drawn from the JSON of the views in this page.
// The sheets are PNGs unpacked here, not by the browser's images, so that every number is exactly the one stored.
"use strict";
(() => {
  const LINES = ["#1f7dbd", "#d55e00", "#029e73", "#b86fae", "#9a8a1c", "#6a7fd6"];
  const PLAY = { all: 7000, slower: 2.5, still: 700 };
  const { unpacked, ramp, painted, fixed, grouped, visible, compact, share, board, make, draw } = viewerParts;

  const root = document.getElementById("viewer");
  const views = [...document.querySelectorAll('script[type="application/json"][id^="view-"]')].map((node) => ({
    id: node.id.slice("view-".length),
    data: JSON.parse(node.textContent),
  }));
  if (!root || !views.length) return;

  const at = (name) => root.querySelector(`#viewer-${name}`);
  const chosen = { view: 0, run: 0, seed: 0, sequence: 0, snapshot: 0, head: 0, query: 0, key: 0 };
  const sheets = new Map();
  let shown = null; // the sequence that is drawn, with its sheet; null while that is unpacked
  let tiles = [];
  let colours = [];
  let timer = null;

  // What is chosen

  const view = () => views[chosen.view].data;
  const run = () => view().runs[chosen.run];
  const replica = () => run().seeds[chosen.seed];
  const sequences = (of = run()) =>
    of.probes.flatMap((probe, p) =>
      probe.sequences.map((sequence, s) => ({
        ...sequence, probe: p, index: s,
        label: probe.sequences.length > 1 ? `${probe.label}, ${s + 1}` : probe.label,
      })));
  const sequence = () => sequences()[chosen.sequence];
  const step = () => run().steps[chosen.snapshot];
  const heads = () => run().layers * run().heads;
  const title = (head) => `L${Math.floor(head / run().heads) + view().first_layer} H${head % run().heads}`;
  const clamp = (value, count) => Math.max(0, Math.min(count - 1, value || 0));
  const found = (list, test, otherwise = 0) => {
    const index = list.findIndex(test);
    return index < 0 ? otherwise : index;
  };

  function attention(head, query, key) {
    return shown.pixels[((chosen.snapshot * shown.n + query) * heads() + head) * shown.n + key] / view().full;
  }

  // The latest value measured at or before the slider's step.
  function score(index, head, when = step()) {
    const scores = replica().scores;
    if (!scores) return null;
    const row = scores.steps.findLastIndex((x) => x <= when);
    return row < 0 ? null : scores.values[index][head][row];
  }

  // The head to watch: the one whose first score ends highest.
  function star(of = replica()) {
    const ends = of.scores?.values[0].map((values) => values.findLast((x) => x !== null) ?? -Infinity) ?? [0];
    return ends.indexOf(Math.max(...ends));
  }

  function phase() {
    const now = replica().window;
    if (!now) return "no phase change found";
    if (step() < now[0]) return "before the phase change";
    return step() <= now[1] ? "in the phase change" : "after the phase change";
  }

  function lossNow() {
    const { steps, values } = replica().loss;
    return values[found(steps, (x) => x >= step(), steps.length - 1)];
  }

  const clock = (steps) => steps * run().clock_per_step;

  function spoken(head) {
    const named = view().scores.map((name, i) => [name, score(i, head)]).filter(([, value]) => value !== null);
    return [title(head), ...named.map(([name, value]) => `${name} ${fixed(value)}`)].join(", ");
  }

  // A live region says the last thing once it has stood for a moment: nobody can listen to a moving slider.
  const announce = (() => {
    let waiting = null;
    return (text) => {
      clearTimeout(waiting);
      waiting = setTimeout(() => { at("said").textContent = text; }, 600);
    };
  })();

  function sheet() {
    const { probe, index } = sequence();
    const key = [chosen.view, chosen.run, chosen.seed, probe, index].join();
    if (!sheets.has(key)) sheets.set(key, unpacked(replica().sheets[probe][index]));
    return sheets.get(key);
  }

  const colour = (value) => colours[Math.round(value * view().full)];
  const picture = (head) => painted(shown.n, (query, key) => colour(attention(head, query, key)));

  // Charts: time runs from snapshot to snapshot, as the slider does, and not by the clock

  const across = (steps) => 1000 * share(run().steps, steps);

  const looks = (index) => ({ class: `viewer-line viewer-dash-${(index + 1) % 4}`, stroke: LINES[index % LINES.length] ?? "currentColor" });

  function curve(steps, values, low, high, index = -1) {
    const kept = steps.map((x, i) => [across(x), values[i]]).filter(([, y]) => y !== null);
    const points = kept.map(([x, y]) => `${x},${100 - (100 * (y - low)) / (high - low || 1)}`).join(" ");
    return draw("polyline", { points, ...looks(index) });
  }

  function plot(chart, curves) {
    const [start, end] = (replica().window ?? [0, 0]).map(across), x = across(step());
    chart.replaceChildren(
      draw("rect", { x: start, y: 0, width: end - start, height: 100, class: "viewer-window" }),
      ...curves,
      draw("line", { x1: x, x2: x, y1: 0, y2: 100, class: "viewer-now" }));
  }

  // What is built anew when another run, seed or sequence is picked

  function fill(name, labels, index) {
    at(name).replaceChildren(...labels.map((label, i) => make("option", { value: i, textContent: label })));
    at(name).value = index;
    at(name).closest("label").hidden = labels.length < 2;
  }

  function build() {
    colours = ramp(view().full);
    fill("view", views.map((item) => item.data.title), chosen.view);
    fill("run", view().runs.map((item) => item.label), chosen.run);
    fill("seed", run().seeds.map((item) => item.seed), chosen.seed);
    fill("sequence", sequences().map((item) => item.label), chosen.sequence);
    at("about").textContent = view().about;
    at("slider").max = run().steps.length - 1;
    const ticks = [0, 1, 2, 3].map((i) => Math.round((i / 3) * (run().steps.length - 1)));
    const times = [...new Set(ticks)].map((row) => compact(clock(run().steps[row])));
    times[times.length - 1] += ` ${view().clock}`;
    at("ticks").replaceChildren(...times.map((time) => make("span", { textContent: time })));
    at("legend").replaceChildren(...view().scores.map((name, i) => make("span", {}, swatch(i), ` ${name}`)));
    buildTiles();
    board(at("canvas"), at("labels"), shown.tokens.map(visible));
    at("strip").replaceChildren(...shown.tokens.map((token, i) => {
      const part = make("span", { textContent: visible(token), className: "viewer-token" });
      part.addEventListener("click", () => pick({ query: i }));
      return part;
    }));
    at("next").textContent = visible(shown.next);
  }

  function swatch(index) {
    const chart = draw("svg", { class: "viewer-swatch", viewBox: "0 0 24 8", "aria-hidden": "true" });
    chart.append(draw("line", { x1: 0, x2: 24, y1: 4, y2: 4, ...looks(index) }));
    return chart;
  }

  function buildTiles() {
    const marked = replica().scores ? star() : null;
    tiles = Array.from({ length: heads() }, (_, head) => {
      const canvas = make("canvas", { width: shown.n, height: shown.n });
      canvas.setAttribute("role", "img");
      const bars = view().scores.map((_, i) => {
        const bar = make("span", { className: "viewer-bar" });
        bar.style.backgroundColor = LINES[i % LINES.length];
        return { bar, text: make("span", { className: "viewer-number" }) };
      });
      const name = make("span", { className: "viewer-name" }, title(head), head === marked ? make("b", { textContent: "watch" }) : "");
      const rows = bars.map(({ bar, text }) => make("span", { className: "viewer-score" }, make("span", { className: "viewer-track" }, bar), text));
      const below = make("span", { className: "viewer-scores" }, ...rows);
      for (const node of [name, below]) node.setAttribute("aria-hidden", "true");
      const button = make("button", { type: "button", className: "viewer-tile" }, name, canvas, below);
      button.classList.toggle("viewer-watched", head === marked);
      button.addEventListener("click", () => pick({ head }));
      return { button, canvas, bars };
    });
    const layers = Array.from({ length: run().layers }, (_, layer) => {
      const row = make("div", { className: "viewer-layer" }, ...tiles.slice(layer * run().heads, (layer + 1) * run().heads).map((tile) => tile.button));
      row.setAttribute("role", "group");
      row.setAttribute("aria-label", `Layer ${layer + view().first_layer}`);
      return row;
    });
    at("grid").replaceChildren(...layers);
  }

  // What is drawn anew whenever anything changes

  function redraw() {
    tiles.forEach((tile, head) => {
      tile.canvas.getContext("2d").putImageData(picture(head), 0, 0);
      tile.canvas.setAttribute("aria-label", spoken(head));
      tile.button.setAttribute("aria-pressed", head === chosen.head);
      tile.bars.forEach(({ bar, text }, i) => {
        const value = score(i, head);
        bar.style.width = `${100 * clampUnit(value)}%`;
        text.textContent = fixed(value);
        text.parentElement.hidden = value === null;
      });
    });
    at("slider").value = chosen.snapshot;
    const when = `step ${grouped(step())}, ${grouped(clock(step()))} ${view().clock}`;
    at("slider").setAttribute("aria-valuetext", `${when}, ${phase()}`);
    at("step").textContent = when;
    at("phase").textContent = phase();
    root.classList.toggle("viewer-changing", phase() === "in the phase change");
    const loss = lossNow();
    at("loss").textContent = loss === null ? "no loss" : `loss ${Number(loss.toPrecision(3))} nats`;
    const gone = replica().diverged;
    at("diverged").textContent = gone === null ? "" : `This replica diverged at step ${gone}.`;
    redrawTime();
    redrawLarge();
  }

  // The first score that a head has; -1 without any.
  const leading = (head) => replica().scores?.values.findIndex((of) => of[head].some((x) => x !== null)) ?? -1;
  const clampUnit = (value) => Math.max(0, Math.min(1, value || 0));

  function redrawTime() {
    const { loss, scores } = replica(), known = loss.values.filter((x) => x !== null), first = leading(chosen.head);
    plot(at("curve"), [
      curve(loss.steps, loss.values, Math.min(...known), Math.max(...known)),
      ...(first < 0 ? [] : [curve(scores.steps, scores.values[first][chosen.head], 0, 1, first)]),
    ]);
    at("curve-score").replaceChildren(...(first < 0 ? [] : [swatch(first), ` ${title(chosen.head)} ${view().scores[first]}, 0 to 1`]));
  }

  function redrawLarge() {
    const scratch = make("canvas", { width: shown.n, height: shown.n }), canvas = at("canvas");
    scratch.getContext("2d").putImageData(picture(chosen.head), 0, 0);
    const context = canvas.getContext("2d");
    context.imageSmoothingEnabled = false;
    context.drawImage(scratch, 0, 0, canvas.width, canvas.height);
    canvas.setAttribute("aria-label", spoken(chosen.head));
    at("head").textContent = title(chosen.head);
    at("board").setAttribute("aria-label", `Attention of ${title(chosen.head)}; arrow keys move the query and the key`);
    redrawReadout();
    redrawScores();
  }

  function redrawReadout() {
    const n = shown.n, { query, key, head } = chosen, [from, to] = [query, key].map((i) => visible(shown.tokens[i]));
    at("readout").textContent = `query ${query} '${from}' → key ${key} '${to}': ${fixed(attention(head, query, key))}`;
    const [row, column] = at("labels").querySelectorAll(".viewer-cross");
    for (const [name, value] of Object.entries({ x: 0, y: query, width: n, height: 1 })) row.setAttribute(name, value);
    for (const [name, value] of Object.entries({ x: key, y: 0, width: 1, height: n })) column.setAttribute(name, value);
    at("labels").querySelectorAll("text").forEach((node, i) => node.classList.toggle("viewer-current", i === query || i === n + key));
    [...at("strip").children].forEach((node, i) => {
      const weight = i > query ? null : attention(head, query, i);
      node.style.backgroundColor = weight === null ? "" : `rgb(${colour(weight).join()})`;
      node.style.color = weight === null ? "" : weight > 0.3 ? "#000" : "#fff";
      node.classList.toggle("viewer-query", i === query);
    });
  }

  function redrawScores() {
    const scores = replica().scores;
    at("scores").hidden = !scores;
    if (!scores) return;
    const own = scores.values.map((of) => of[chosen.head]);
    const low = Math.min(0, ...own.flat().filter((x) => x !== null));
    plot(at("chart"), own.map((values, i) => curve(scores.steps, values, low, 1, i)));
    at("top").textContent = "1";
    at("bottom").textContent = Number(low.toFixed(2)).toString();
    at("values").replaceChildren(...view().scores.flatMap((name, i) =>
      score(i, chosen.head) === null ? [] : [make("li", {}, swatch(i), ` ${name} `, make("b", { textContent: fixed(score(i, chosen.head)) }))]));
  }

  // Picking

  // Where a head looks most in the end: at the last query for which that is not the first token, where heads rest.
  function brightest(head) {
    const n = shown.n, rows = shown.pixels.subarray((run().steps.length - 1) * n * heads() * n);
    const looks = Array.from({ length: n }, (_, query) => {
      const row = [...rows.subarray((query * heads() + head) * n, (query * heads() + head) * n + n)];
      return { query, key: row.indexOf(Math.max(...row)) };
    });
    return looks.findLast(({ key }) => key > 0) ?? looks[n - 1];
  }

  // The last pick wins, however long its sheet takes to unpack.
  let latest = 0;
  async function load() {
    const mine = ++latest, picked = sequence();
    shown = null;
    const pixels = await sheet();
    if (mine !== latest) return;
    shown = { ...picked, pixels, n: picked.tokens.length };
    Object.assign(chosen, brightest(chosen.head));
    build();
    redraw();
  }

  function pick(changes) {
    const before = { ...chosen };
    Object.assign(chosen, changes);
    remember();
    if (["view", "run", "seed", "sequence"].some((name) => chosen[name] !== before[name])) return load();
    if (!shown) return;
    if (chosen.head !== before.head) Object.assign(chosen, brightest(chosen.head));
    chosen.key = Math.min(chosen.key, chosen.query);
    redraw();
    announce(`${title(chosen.head)}, ${at("slider").getAttribute("aria-valuetext")}`);
  }

  function pickView(index) {
    const next = views[index].data;
    stop();
    pick({ view: index, run: 0, seed: 0, sequence: 0, snapshot: 0, head: star(next.runs[0].seeds[0]) });
  }

  function pickRun(index) {
    const next = view().runs[index], now = step(), seed = found(next.seeds, (item) => item.seed === replica().seed);
    const nearest = next.steps.reduce((best, x, i) => (Math.abs(x - now) < Math.abs(next.steps[best] - now) ? i : best), 0);
    pick({ run: index, seed, sequence: clamp(chosen.sequence, sequences(next).length), snapshot: nearest, head: star(next.seeds[seed]) });
  }

  // Play: slower through the phase change, which is what there is to see

  function playing(on) {
    at("play").textContent = on ? "❚❚ Pause" : "▶ Play the training";
  }

  function stop() {
    clearTimeout(timer);
    timer = null;
    playing(false);
  }

  function play() {
    if (timer !== null) return stop();
    at("hint").hidden = true;
    playing(true);
    if (chosen.snapshot === run().steps.length - 1) pick({ snapshot: 0 });
    const next = () => {
      pick({ snapshot: chosen.snapshot + 1 });
      if (chosen.snapshot === run().steps.length - 1) return stop();
      const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
      const pace = still ? PLAY.still : PLAY.all / run().steps.length;
      timer = setTimeout(next, phase() === "in the phase change" ? pace * PLAY.slower : pace);
    };
    timer = setTimeout(next, 0);
  }

  // The address: keys of ours begin with "v." and stand beside those of the page

  const { get, set } = window.headworks.state;
  const KEPT = ["view", "run", "seed", "seq", "step", "head"];

  let writing = null;
  function remember() {
    clearTimeout(writing);
    writing = setTimeout(() => {
      const { probe, index } = sequence();
      const values = [views[chosen.view].id, run().name, replica().seed, `${probe}.${index}`, step(), title(chosen.head).replace(" ", "")];
      set(Object.fromEntries(KEPT.map((name, i) => [`v.${name}`, values[i]])));
    }, 250);
  }

  function recall() {
    const [id, name, seed, seq, when, head] = KEPT.map((key) => get(`v.${key}`));
    chosen.view = found(views, (item) => item.id === id);
    chosen.run = found(view().runs, (item) => item.name === name);
    chosen.seed = found(run().seeds, (item) => String(item.seed) === seed);
    chosen.sequence = found(sequences(), (item) => `${item.probe}.${item.index}` === seq);
    chosen.snapshot = found(run().steps, (x) => String(x) === when);
    chosen.head = found(Array.from({ length: heads() }), (_, i) => title(i).replace(" ", "") === head, star());
    return load();
  }

  // Events

  function listen() {
    at("view").addEventListener("change", (event) => pickView(Number(event.target.value)));
    at("run").addEventListener("change", (event) => pickRun(Number(event.target.value)));
    at("seed").addEventListener("change", (event) => {
      const seed = Number(event.target.value);
      pick({ seed, head: star(run().seeds[seed]) });
    });
    at("sequence").addEventListener("change", (event) => pick({ sequence: Number(event.target.value) }));
    at("slider").addEventListener("input", (event) => {
      stop();
      at("hint").hidden = true;
      pick({ snapshot: Number(event.target.value) });
    });
    at("play").addEventListener("click", play);
    for (const kind of ["pointerdown", "pointermove"]) at("curve").addEventListener(kind, scrub);
    at("board").addEventListener("keydown", move);
    for (const kind of ["pointermove", "pointerdown"]) at("canvas").addEventListener(kind, point);
    addEventListener("hashchange", () => {
      if (KEPT.some((name) => get(`v.${name}`) !== null)) recall();
    });
  }

  function scrub(event) {
    if (!event.buttons) return;
    stop();
    const box = at("curve").getBoundingClientRect(), last = run().steps.length - 1;
    pick({ snapshot: clamp(Math.round(((event.clientX - box.left) / box.width) * last), last + 1) });
  }

  function move(event) {
    const [dq, dk] = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key] ?? [0, 0];
    if (!dq && !dk) return;
    event.preventDefault();
    show(clamp(chosen.query + dq, shown?.n), chosen.key + dk);
  }

  function point(event) {
    const box = event.target.getBoundingClientRect(), cell = (x, size) => clamp(Math.floor((x / size) * shown?.n), shown?.n);
    show(cell(event.clientY - box.top, box.height), cell(event.clientX - box.left, box.width));
  }

  function show(query, key) {
    if (!shown) return;
    Object.assign(chosen, { query, key: clamp(key, query + 1) });
    redrawReadout();
    announce(at("readout").textContent);
  }

  window.headworksViewer = {
    state: () => ({
      ...chosen, ready: shown !== null, view: views[chosen.view].id, run: run().name, seed: replica().seed,
      step: step(), heads: heads(), positions: shown?.n,
    }),
    pixel: attention,
  };
  playing(false);
  listen();
  recall();
})();
