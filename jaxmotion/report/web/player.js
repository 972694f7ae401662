// Steps through a sequence: video, flow, and the segments and foreground of every run that is shown.

function makePanels({ truth, flow, frames }, columns, s, wheel) {
  const [height, width] = truth.size;
  const annotation = ["casing", "annotation"].map((kind) => [kind, (i) => truth.outlines[i]]);
  const panel = (title, note, uris, ...paths) => makePanel(title, note, truth.size, uris, [...paths, ...annotation]);
  const groups = [];
  const input = [];
  if (frames) input.push(panel("Video", null, frames.pictures));
  if (flow) {
    const hint = make("span", {}, frames ? make("img", { src: wheel, alt: "", width: 18, height: 18 }) : null,
      `hue: direction; full color: ${flow.full_color.toPrecision(2)} pixels a frame`);
    input.push(panel("Flow", hint, flow.pictures));
  }
  if (input.length) groups.push({ title: "Input", panels: input, card: frames ? null : legendCard(flow, wheel) });
  for (const column of columns) {
    const layer = readLayer(column.sequences[s]?.segments);
    if (!layer) continue;
    const dim = (i) => `M-1-1H${width}V${height}H-1z${layer.foreground[i] ?? ""}`;
    groups.push({ title: column.label, column, panels: [
      panel("Segments", make("span", { class: "legend" }), layer.pictures),
      panel("Foreground", make("span", { class: "now" }), frames?.pictures, ["dim", dim], ["foreground", (i) => layer.foreground[i]]),
    ], colors: layer.colors });
  }
  return groups;
}

// In the place of the video, where it was left out.
function legendCard(flow, wheel) {
  return make("div", { class: "card" }, make("p", {}, "The page was made without the frames of the video (", make("code", {}, "--include-frames"),
    " puts them here)."),
    make("p", {}, "The color of a flow vector is its direction on the disc, the strength its speed."),
    flow ? make("img", { src: wheel, alt: "Disc of the flow colors", width: 72, height: 72 }) : null);
}

const cutIndex = (sequence, frame) => sequence.cuts.findIndex(({ start, stop }) => start <= frame && frame < stop);

// Every segment's number and color; marked where it is taken as foreground, or as an object.
function segmentLegend(sequence, frame, colors) {
  const taken = new Map(sequence.cuts[cutIndex(sequence, frame)]?.labels.map((label) => [label, "foreground"]));
  for (const [object, label] of Object.entries(sequence.objects)) taken.set(label, `object ${object}`);
  return colors.map((color, k) => make("span", { class: taken.has(k) ? "taken" : "" },
    make("i", { style: { background: color } }), String(k), taken.has(k) ? make("b", {}, "✓") : null,
    taken.has(k) ? make("span", { class: taken.get(k) === "foreground" ? "hidden" : "" }, taken.get(k)) : null));
}

function makePlayer({ dataset, s, columns, state, frame = 0, onframe }) {
  const { measure, wheel } = state;
  const [truth, flow, frames] = ["truth", "flow", "frames"].map((layer) => readLayer(dataset.pictures[s][layer]));
  if (!truth) return { element: make("p", { class: "note" }, "There are no pictures of this sequence."), stop() {} };
  const groups = makePanels({ truth, flow, frames }, columns, s, wheel);
  const outlines = make("input", { type: "checkbox", checked: state.outlines, onchange: () => {
    state.outlines = outlines.checked;
    element.classList.toggle("plain", !state.outlines);
  } });
  const transport = makeTransport({
    shown: truth.shown, // of a long video not every frame has pictures
    total: framesOf(dataset.columns, s), frame, panels: groups.flatMap((group) => group.panels), describe, onframe,
    speed: state.speed, setSpeed: (fps) => { state.speed = fps; },
    drawTimeline: (cursor, handlers) => plot(columns, s, measure, { class: "plot timeline", ...handlers }, cursor),
    controls: [make("label", { class: "field" }, outlines, make("span", { class: "key" }), "annotation")],
  });

  function describe(frame) {
    for (const { column, panels: [segments, foreground], colors } of groups) {
      if (!column) continue;
      const sequence = column.sequences[s];
      const row = sequence.frames.indexOf(frame);
      segments.element.querySelector(".legend").replaceChildren(...segmentLegend(sequence, frame, colors));
      foreground.element.querySelector(".now").textContent = row < 0 ? "not scored in this frame"
        : dataset.measures.map((name) => `${name} ${score(sequence.scores[name]?.[row])}`).join(" · ");
    }
    const cuts = columns.find((column) => column.sequences[s]?.cuts)?.sequences[s];
    return cuts?.cuts.length > 1 ? `, cut ${cutIndex(cuts, frame) + 1} of ${cuts.cuts.length}` : "";
  }

  const element = make("div", { class: state.outlines ? "player" : "player plain", tabindex: 0, role: "group",
    onkeydown: transport.onkeydown,
    "aria-label": `Player of ${dataset.sequences[s]}: arrow keys step, space plays, Home and End jump` },
    make("div", { class: "stage" }, ...groups.map((group) =>
      make("div", { class: "group", role: "group", "aria-label": group.title },
        make("h4", {}, group.column ? swatch(group.column) : null, group.title),
        ...group.panels.map((panel) => panel.element), group.card))),
    make("p", { class: "note unit" }, `${measure} in every frame; dotted: a new cut`),
    ...transport.parts,
    make("p", { class: "note" }, "Segments: one color each, ", make("b", {}, "✓"), " if taken as foreground. Foreground: what is left bright, ",
      make("span", { class: "key" }), " its border. The annotation is drawn over everything, to compare."),
    keysNote());
  return { element, stop: transport.stop, frame: transport.frame };
}
