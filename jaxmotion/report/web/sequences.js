// The list of sequences: order, filter, and for each its bars, its curve and, when opened, its player.

const ORDERS = {
  listed: ["as listed", () => 0],
  name: ["name", (a, b) => compare(a.name, b.name)],
  worst: ["worst first", (a, b) => compare(a.score, b.score)],
  best: ["best first", (a, b) => compare(a.score, b.score, true)],
  loss: ["largest loss first", (a, b) => compare(a.difference, b.difference)],
  gain: ["largest gain first", (a, b) => compare(a.difference, b.difference, true)],
};

function makeSequences(d, dataset, state, onchange) {
  const items = dataset.sequences.map((name, s) => makeItem(d, dataset, s, name, state, onchange));
  const list = make("ol", { class: "sequences" });
  const found = make("p", { class: "note", role: "status" });

  function update() {
    for (const item of items) item.update();
    arrange();
  }
  function arrange() {
    const query = state.query.trim().toLowerCase();
    const ordered = [...items].sort(ORDERS[state.order][1]);
    list.replaceChildren(...ordered.map((item) => item.element));
    let visible = 0;
    for (const item of items) {
      item.element.hidden = !item.name.toLowerCase().includes(query);
      visible += !item.element.hidden;
    }
    found.textContent = visible === items.length ? "" : `${visible} of ${plural(items.length, "sequence")} shown`;
  }
  const heads = make("div", { class: "row heads", "aria-hidden": "true" }, make("span", {}, "sequence (opens its player)"),
    make("div", { class: "plots" }, make("span", {}, "mean over the frames"), make("span", {}, "every frame; dotted: a new cut")));
  return { element: make("div", {}, heads, found, list), items, update, arrange };
}

function makeItem(d, dataset, s, name, state, onchange) {
  const summary = make("p", { class: "summary" });
  const plots = make("div", { class: "plots" });
  const body = make("div", { class: "body", id: `player-${d}-${s}`, hidden: true });
  const button = make("button", { type: "button", "aria-expanded": "false", "aria-controls": body.id,
    onclick: () => item.open(body.hidden) }, name);
  let player = null;

  const item = {
    name,
    element: make("li", {}, make("div", { class: "row" }, make("div", { class: "title" }, make("h3", {}, button), summary), plots), body),
    open(wanted, frame) {
      body.hidden = !wanted;
      button.setAttribute("aria-expanded", String(wanted));
      player?.stop();
      player = null;
      body.replaceChildren();
      if (wanted) play(frame);
      onchange(wanted ? { sequence: name, frame: frame ?? 0 } : {});
    },
    update() {
      const columns = shownColumns(dataset, state);
      const [main, other] = [state.main, state.other].map((label) => dataset.columns.find((c) => c.label === label));
      const value = (column) => column?.sequences[s]?.statistics[`${state.measure}_mean`] ?? null;
      item.score = value(main);
      item.difference = item.score === null || value(other) === null ? null : item.score - value(other);
      summary.replaceChildren(make("b", {}, `${state.measure} ${score(item.score)}`),
        main === other ? "" : make("span", { class: verdict(item.difference) }, ` ${signed(item.difference)}`));
      plots.replaceChildren(bars(columns, s, state.measure), plot(columns, s, state.measure, { class: "plot spark" }) ?? "");
      if (!body.hidden) {
        const frame = player?.frame?.();
        player?.stop();
        body.replaceChildren();
        play(frame);
      }
    },
  };
  function play(frame) {
    const columns = shownColumns(dataset, state);
    player = makePlayer({ dataset, s, columns, state, frame,
      onframe: (at) => onchange({ sequence: name, frame: at }) });
    body.replaceChildren(player.element);
  }
  return item;
}

function shownColumns(dataset, state) {
  return dataset.columns.filter((column) => state.shown.has(column.label));
}
