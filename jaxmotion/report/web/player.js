// Steps through a sequence: video, flow, and the segments and foreground of every run that is shown.

const SPEEDS = [2, 6, 12, 24];
const AHEAD = 4;

function readLayer(number) {
  return isNumber(number) ? JSON.parse(byId(`layer-${number}`).textContent) : null;
}

// Decoded pictures, the latest few: a whole video would fill the memory.
function pictureCache(limit) {
  const cache = new Map();
  return (uri) => {
    if (!cache.has(uri)) {
      const image = new Image();
      image.src = uri;
      cache.set(uri, image.decode().then(() => image, () => null));
      if (cache.size > limit) cache.delete(cache.keys().next().value);
    }
    return cache.get(uri);
  };
}

// A panel: a picture with outlines over it. paths: [class, function of the number of the picture].
function makePanel(title, note, [height, width], uris, paths) {
  const canvas = make("canvas", { width: 1, height: 1, role: "img", "aria-label": title });
  const shapes = paths.map(([kind]) => draw("path", { class: kind, "fill-rule": "evenodd", "vector-effect": "non-scaling-stroke" }));
  const overlay = draw("svg", { viewBox: `-0.5 -0.5 ${width} ${height}`, preserveAspectRatio: "none", "aria-hidden": "true" }, ...shapes);
  return {
    element: make("figure", { class: "panel" },
      make("div", { class: "screen", style: { "aspect-ratio": `${width} / ${height}` } }, canvas, overlay),
      make("figcaption", {}, make("b", {}, title), note)),
    uri: (i) => uris?.[i],
    show(i, image) {
      canvas.width = image?.naturalWidth ?? 1; // which also clears it
      canvas.height = image?.naturalHeight ?? 1;
      if (image) canvas.getContext("2d").drawImage(image, 0, 0);
      shapes.forEach((shape, p) => shape.setAttribute("d", paths[p][1](i) ?? ""));
    },
  };
}

function makePanels({ truth, flow, frames }, columns, s, wheel) {
  const [height, width] = truth.size;
  const annotation = ["casing", "annotation"].map((kind) => [kind, (i) => truth.outlines[i]]);
  const panel = (title, note, uris, ...paths) => makePanel(title, note, truth.size, uris, [...paths, ...annotation]);
  const groups = [];
  const input = [];
  if (frames) input.push(panel("Video", null, frames.pictures));
  if (flow) {
    const hint = make("span", {}, frames ? make("img", { src: wheel, alt: "", width: 18, height: 18 }) : null,
      `hue: direction; full colour: ${flow.full_color.toPrecision(2)} pixels a frame`);
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
    make("p", {}, "The colour of a flow vector is its direction on the disc, the strength its speed."),
    flow ? make("img", { src: wheel, alt: "Disc of the flow colours", width: 72, height: 72 }) : null);
}

const cutIndex = (sequence, frame) => sequence.cuts.findIndex(({ start, stop }) => start <= frame && frame < stop);

// Every segment's number and colour; marked where it is taken as foreground, or as an object.
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
  const panels = groups.flatMap((group) => group.panels);
  const { shown } = truth; // of a long video not every frame has pictures
  const total = framesOf(dataset.columns, s), last = shown.length - 1;
  let at = nearest(shown, frame); // the number of the picture
  const load = pictureCache(panels.length * (AHEAD + 4));
  let timer = null;

  const cursor = make("span", { class: "cursor" });
  const timeline = plot(columns, s, measure, { class: "plot timeline", onpointerdown: onpointer, onpointermove: onpointer }, cursor);
  const slider = make("input", { type: "range", min: 0, max: last, value: at, "aria-label": "Frame",
    oninput: () => { stop(); show(+slider.value); } });
  const play = make("button", { type: "button", class: "play", onclick: () => (timer ? stop() : start()) });
  const counter = make("span", { class: "counter" });
  const speed = menu("speed", SPEEDS.map((fps) => [String(fps), `${fps} frames/s`]), state.speed, (fps) => { state.speed = fps; });
  const outlines = make("input", { type: "checkbox", checked: state.outlines, onchange: () => {
    state.outlines = outlines.checked;
    element.classList.toggle("plain", !state.outlines);
  } });

  async function show(next) {
    const target = at = Math.max(0, Math.min(last, next));
    const images = await Promise.all(panels.map((panel) => panel.uri(target) && load(panel.uri(target))));
    if (at !== target) return; // another frame was asked for meanwhile
    panels.forEach((panel, p) => panel.show(at, images[p]));
    describe(shown[at]);
    for (let i = at + 1; i <= at + AHEAD; i++) panels.forEach((panel) => panel.uri(i) && load(panel.uri(i)));
    if (!timer) onframe(shown[at]);
  }
  function describe(frame) {
    let text = `frame ${frame + 1} of ${total}`;
    const cuts = columns.find((column) => column.sequences[s]?.cuts)?.sequences[s];
    if (cuts?.cuts.length > 1) text += `, cut ${cutIndex(cuts, frame) + 1} of ${cuts.cuts.length}`;
    counter.textContent = text;
    slider.value = at;
    slider.setAttribute("aria-valuetext", text);
    cursor.style.left = `${(100 * frame) / Math.max(1, total - 1)}%`;
    for (const { column, panels: [segments, foreground], colors } of groups) {
      if (!column) continue;
      const sequence = column.sequences[s];
      const row = sequence.frames.indexOf(frame);
      segments.element.querySelector(".legend").replaceChildren(...segmentLegend(sequence, frame, colors));
      foreground.element.querySelector(".now").textContent = row < 0 ? "not scored in this frame"
        : dataset.measures.map((name) => `${name} ${score(sequence.scores[name]?.[row])}`).join(" · ");
    }
  }
  function start() {
    if (at >= last) at = -1;
    const tick = async () => {
      const began = performance.now();
      await show(at + 1);
      if (!timer) return;
      if (at >= last) return stop();
      timer = setTimeout(tick, Math.max(0, 1000 / state.speed - (performance.now() - began)));
    };
    timer = setTimeout(tick, 0);
    label();
  }
  function stop() {
    clearTimeout(timer);
    timer = null;
    label();
  }
  function label() {
    play.textContent = timer ? "❚❚ Pause" : "▶ Play";
  }
  function onkeydown(event) {
    if (event.target.matches("select, input") || event.altKey || event.ctrlKey || event.metaKey) return;
    const steps = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: last };
    if (event.key in steps) { stop(); show(steps[event.key]); }
    else if (event.key === " " && event.target === element) timer ? stop() : start();
    else return;
    event.preventDefault();
  }
  function onpointer(event) {
    if (event.type === "pointermove" && !event.buttons) return;
    const box = timeline.querySelector("svg").getBoundingClientRect();
    stop();
    show(nearest(shown, ((event.clientX - box.left) / box.width) * (total - 1)));
  }

  const step = (label, text, move) => make("button", { type: "button", "aria-label": label, title: label,
    onclick: () => { stop(); show(move()); } }, text);
  const element = make("div", { class: state.outlines ? "player" : "player plain", tabindex: 0, role: "group", onkeydown,
    "aria-label": `Player of ${dataset.sequences[s]}: arrow keys step, space plays, Home and End jump` },
    make("div", { class: "stage" }, ...groups.map((group) =>
      make("div", { class: "group", role: "group", "aria-label": group.title },
        make("h4", {}, group.column ? swatch(group.column) : null, group.title),
        ...group.panels.map((panel) => panel.element), group.card))),
    make("p", { class: "note unit" }, `${measure} in every frame; dotted: a new cut`),
    timeline, slider,
    make("div", { class: "controls" }, step("Previous frame", "◀", () => at - 1), play, step("Next frame", "▶", () => at + 1),
      speed, make("label", { class: "field" }, outlines, make("span", { class: "key" }), "annotation"), counter),
    make("p", { class: "note" }, "Segments: one colour each, ", make("b", {}, "✓"), " if taken as foreground. Foreground: what is left bright, ",
      make("span", { class: "key" }), " its border. The annotation is drawn over everything, to compare."),
    make("p", { class: "note keys" }, "With the player in focus: ", ...["←", "→"].map((key) => make("kbd", {}, key)), " step, ",
      make("kbd", {}, "space"), " plays, ", make("kbd", {}, "Home"), make("kbd", {}, "End"), " jump."));
  label();
  show(at);
  return { element, stop, frame: () => shown[at] };
}

function nearest(shown, frame) {
  return shown.reduce((best, t, i) => (Math.abs(t - frame) < Math.abs(shown[best] - frame) ? i : best), 0);
}
