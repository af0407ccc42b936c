"use strict";
/* The claims page: which view is shown, filters, order and search, all kept in the part of the URL after #. */

(() => {
  const page = document.documentElement;
  const find = (selector, within = document) => [...within.querySelectorAll(selector)];
  const ORDER = ["reproduced", "not reproduced", "inconclusive", "underpowered", "unsound"];

  page.classList.add("js");

  // State

  const read = () => new URLSearchParams(location.hash.slice(1));

  const change = (values) => {
    const now = read();
    for (const [key, value] of Object.entries(values)) {
      if (value === "" || value === null || value === undefined) now.delete(key);
      else now.set(key, value);
    }
    const text = now.toString().replaceAll("%2C", ",");
    history.replaceState(null, "", text ? `#${text}` : location.href.split("#")[0]);
  };

  /* For the head viewer: what it keeps in the URL stands beside what the page keeps there. */
  window.headworks = { state: { get: (key) => read().get(key), set: change } };

  // Views

  const views = find(".view");
  const links = find("nav a[data-view]");

  const show = (name) => {
    const chosen = views.some((view) => view.id === name) ? name : views[0].id;
    for (const view of views) view.hidden = view.id !== chosen;
    for (const link of links) {
      if (link.dataset.view === chosen) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
    document.getElementById(chosen).dispatchEvent(new Event("viewshown"));
  };

  for (const link of links) {
    link.addEventListener("click", (event) => {
      event.preventDefault();
      change({ view: link.dataset.view === views[0].id ? "" : link.dataset.view });
      show(link.dataset.view);
      document.getElementById(`${link.dataset.view}-title`).focus({ preventScroll: true });
    });
  }

  // Claims

  const tiles = find(".tile");
  const search = document.getElementById("search");
  const paper = document.getElementById("paper");
  const sort = document.getElementById("sort");
  const shown = document.getElementById("shown");
  const studies = find(".study[data-study]");
  const claims = find(".claim").map((item, place) => ({
    item,
    place,
    study: item.closest(".study").dataset.study,
    list: item.parentElement,
    verdict: item.dataset.verdict,
    seeds: Number(item.dataset.seeds),
    statement: item.querySelector(".statement").textContent,
    text: `${item.dataset.search} ${item.querySelector(".statement").textContent} ${item.dataset.verdict}`.toLowerCase(),
  }));

  const BY = {
    verdict: (a, b) => ORDER.indexOf(a.verdict) - ORDER.indexOf(b.verdict) || a.place - b.place,
    "verdict-last": (a, b) => ORDER.indexOf(b.verdict) - ORDER.indexOf(a.verdict) || a.place - b.place,
    seeds: (a, b) => b.seeds - a.seeds || a.place - b.place,
    statement: (a, b) => a.statement.localeCompare(b.statement),
  };

  const wanted = () => (read().get("verdict") || "").split(",").filter((name) => ORDER.includes(name));

  const filter = () => {
    const state = read();
    const verdicts = wanted();
    const words = (state.get("q") || "").toLowerCase().split(/\s+/).filter(Boolean);
    const study = state.get("paper") || "";
    let count = 0;
    for (const claim of claims) {
      const kept =
        (!study || claim.study === study) &&
        (!verdicts.length || verdicts.includes(claim.verdict)) &&
        words.every((word) => claim.text.includes(word));
      claim.item.hidden = !kept;
      count += kept;
    }
    for (const section of studies) section.hidden = !section.querySelector(".claim:not([hidden])");
    for (const tile of tiles) tile.setAttribute("aria-pressed", String(verdicts.includes(tile.dataset.verdict)));
    const said = `${count} of ${claims.length} claims shown`;
    if (shown.textContent !== said) shown.textContent = said;
  };

  const order = () => {
    const compare = BY[read().get("sort")] || ((a, b) => a.place - b.place);
    for (const claim of [...claims].sort(compare)) claim.list.append(claim.item);
  };

  const open = (name) => {
    const details = name && document.getElementById(`claim-${name}`);
    if (!details) return;
    details.closest(".claim").hidden = false;
    details.closest(".study").hidden = false;
    details.open = true;
    details.scrollIntoView({ block: "start", behavior: "instant" });
    details.querySelector("summary").focus({ preventScroll: true });
  };

  for (const tile of tiles) {
    tile.addEventListener("click", () => {
      const name = tile.dataset.verdict;
      const now = wanted();
      const next = now.includes(name) ? now.filter((other) => other !== name) : [...now, name];
      change({ verdict: ORDER.filter((other) => next.includes(other)).join(",") });
      filter();
    });
  }
  search.addEventListener("input", () => {
    change({ q: search.value.trim() });
    filter();
  });
  paper.addEventListener("change", () => {
    change({ paper: paper.value });
    filter();
  });
  sort.addEventListener("change", () => {
    change({ sort: sort.value });
    order();
  });
  document.querySelector(".controls").addEventListener("submit", (event) => event.preventDefault());
  document.getElementById("reset").addEventListener("click", () => {
    change({ verdict: "", q: "", paper: "", sort: "", claim: "" });
    apply();
  });

  /* A figure is drawn when its claim is first opened: a copy of each for every claim would be 200,000 nodes. */
  const draw = (details) => {
    for (const use of find("use[data-href]", details)) {
      use.setAttribute("href", use.dataset.href);
      use.removeAttribute("data-href");
    }
  };

  for (const { item } of claims) {
    const details = item.firstElementChild;
    details.addEventListener("toggle", () => {
      if (details.open) draw(details);
      if (details.open) change({ claim: details.dataset.claim });
      else if (read().get("claim") === details.dataset.claim) change({ claim: "" });
    });
  }

  // The URL decides, at the start and whenever somebody changes it

  const apply = () => {
    const state = read();
    search.value = state.get("q") || "";
    paper.value = state.get("paper") || "";
    sort.value = state.get("sort") || "";
    if (sort.selectedIndex < 0) sort.value = "";
    if (paper.selectedIndex < 0) paper.value = "";
    order();
    filter();
    show(state.get("view") || "");
    open(state.get("claim"));
  };

  window.addEventListener("hashchange", apply);

  // What is closed on the screen is open on paper, and closed again afterwards

  let opened = [];
  window.addEventListener("beforeprint", () => {
    opened = find("details:not([open])");
    draw(document);
    for (const details of opened) details.open = true;
  });
  window.addEventListener("afterprint", () => {
    for (const details of opened) details.open = false;
  });

  apply();
})();
