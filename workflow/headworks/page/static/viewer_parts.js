// Parts of the head viewer that know nothing of what is chosen: unpacking, colours, numbers as text, elements.
"use strict";
const viewerParts = (() => {
  const RAMP = "0b0405 211423 332345 3e356b 40498e 38629d 357ba3 3492a8 38aaac 4bc2ad 79d6ae b2e4c2 def5e5";
  const FUTURE = [35, 38, 45];
  const SVG = "http://www.w3.org/2000/svg";

  // Sheets: greyscale PNGs of eight bits

  async function unpacked(base64) {
    const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
    const words = new DataView(bytes.buffer);
    const parts = [];
    let width = 0, height = 0;
    for (let place = 8; place < bytes.length;) {
      const length = words.getUint32(place);
      const kind = String.fromCharCode(...bytes.subarray(place + 4, place + 8));
      if (kind === "IHDR") [width, height] = [words.getUint32(place + 8), words.getUint32(place + 12)];
      if (kind === "IDAT") parts.push(bytes.subarray(place + 8, place + 8 + length));
      place += length + 12;
    }
    const inflated = new Blob(parts).stream().pipeThrough(new DecompressionStream("deflate"));
    return unfiltered(new Uint8Array(await new Response(inflated).arrayBuffer()), width, height);
  }

  // PNG, section 9.2: a byte a pixel, each line with the number of its filter before it.
  function unfiltered(raw, width, height) {
    const out = new Uint8Array(width * height);
    for (let y = 0; y < height; y++) {
      const filter = raw[y * (width + 1)], from = y * (width + 1) + 1, to = y * width;
      for (let x = 0; x < width; x++) {
        const left = x ? out[to + x - 1] : 0, up = y ? out[to + x - width] : 0;
        const corner = x && y ? out[to + x - width - 1] : 0;
        const guess = [0, left, up, (left + up) >> 1, 0][filter];
        out[to + x] = raw[from + x] + (filter === 4 ? paeth(left, up, corner) : guess);
      }
    }
    return out;
  }

  function paeth(left, up, corner) {
    const far = [left, up, corner].map((x) => Math.abs(left + up - corner - x));
    if (far[0] <= far[1] && far[0] <= far[2]) return left;
    return far[1] <= far[2] ? up : corner;
  }

  // Colours: by the square root, so that weak attention, spread over many tokens, can be seen

  function ramp(full) {
    const stops = RAMP.split(" ").map((hex) => [0, 2, 4].map((i) => parseInt(hex.slice(i, i + 2), 16)));
    return Array.from({ length: full + 1 }, (_, value) => {
      const x = Math.sqrt(value / full) * (stops.length - 1), i = Math.min(Math.floor(x), stops.length - 2);
      return stops[i].map((low, c) => Math.round(low + (x - i) * (stops[i + 1][c] - low)));
    });
  }

  // A pattern of n tokens, colour(query, key) where the query has seen the key.
  function painted(n, colour) {
    const image = new ImageData(n, n);
    for (let query = 0; query < n; query++) {
      for (let key = 0; key < n; key++) {
        const [red, green, blue] = key > query ? FUTURE : colour(query, key), from = 4 * (query * n + key);
        image.data[from] = red;
        image.data[from + 1] = green;
        image.data[from + 2] = blue;
        image.data[from + 3] = 255;
      }
    }
    return image;
  }

  // Text

  const fixed = (value) => (value === null || value === undefined ? "–" : value.toFixed(2));
  const grouped = (value) => Math.round(value).toLocaleString("en-GB");
  const visible = (token) => token.replace(/ /g, "␣").replace(/\n/g, "⏎").replace(/\t/g, "⇥") || "∅";

  function compact(value) {
    const [unit, word] = value >= 1e6 ? [1e6, " M"] : value >= 1e3 ? [1e3, " k"] : [1, ""];
    return `${Number((value / unit).toPrecision(3))}${word}`;
  }

  // How far along `all`, ascending numbers, a number lies, each as far from the next: 0 to 1.
  function share(all, number) {
    if (all.length < 2) return 0;
    const after = all.findIndex((x) => x > number), i = after < 0 ? all.length - 2 : Math.max(after - 1, 0);
    return Math.max(0, Math.min(1, (i + (number - all[i]) / (all[i + 1] - all[i])) / (all.length - 1)));
  }

  // The large pattern: a canvas with the tokens' texts along both sides, in units of one cell, and the cross hairs.
  function board(canvas, chart, texts) {
    const n = texts.length, size = Math.min(0.74, n * 0.04), gap = size * 0.45;
    const longest = 0.7 * size * Math.max(...texts.map((text) => text.length)), turned = longest > 0.9;
    const margin = Math.max(longest + 0.8 * size, 0.04 * n);
    const label = (i, x, y, anchor, angle) => draw("text", {
      x, y, "font-size": size, "text-anchor": anchor, "dominant-baseline": "central", transform: `rotate(${angle} ${x} ${y})`,
    }, texts[i]);
    const below = turned ? ["end", -90] : ["middle", 0];
    chart.setAttribute("viewBox", `${-margin} 0 ${n + margin} ${n + margin}`);
    chart.classList.toggle("viewer-dense", n > 24);
    chart.replaceChildren(
      ...texts.map((_, i) => label(i, -gap, i + 0.5, "end", 0)),
      ...texts.map((_, i) => label(i, i + 0.5, n + gap + (turned ? 0 : size / 2), ...below)),
      draw("rect", { class: "viewer-cross" }), draw("rect", { class: "viewer-cross" }));
    const scale = Math.ceil(480 / n), width = (100 * n) / (n + margin);
    Object.assign(canvas, { width: n * scale, height: n * scale });
    Object.assign(canvas.style, { width: `${width}%`, left: `${100 - width}%` });
  }

  // Elements

  function make(tag, properties = {}, ...children) {
    const node = Object.assign(document.createElement(tag), properties);
    node.append(...children);
    return node;
  }

  function draw(tag, attributes = {}, text = "") {
    const node = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    node.textContent = text;
    return node;
  }

  return { unpacked, ramp, painted, fixed, grouped, visible, compact, share, board, make, draw };
})();
