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

// A panel: a picture with outlines over it. paths: [class, function of the frame].
function makePanel(title, note, [height, width], uris, paths) {
  const canvas = make("canvas", { width: 1, height: 1, role: "img", "aria-label": title });
  const shapes = paths.map(([kind]) => draw("path", { class: kind, "fill-rule": "evenodd", "vector-effect": "non-scaling-stroke" }));
  const overlay = draw("svg", { viewBox: `-0.5 -0.5 ${width} ${height}`, preserveAspectRatio: "none", "aria-hidden": "true" }, ...shapes);
  return {
    element: make("figure", { class: "panel" },
      make("div", { class: "screen", style: { "aspect-ratio": `${width} / ${height}` } }, canvas, overlay),
      make("figcaption", {}, make("b", {}, title), note)),
    uri: (frame) => uris?.[frame],
    show(frame, image) {
      if (image) {
        canvas.width = image.naturalWidth;
        canvas.height = image.naturalHeight;
        canvas.getContext("2d").drawImage(image, 0, 0);
      }
      shapes.forEach((shape, i) => shape.setAttribute("d", paths[i][1](frame) ?? ""));
    },
  };
}

function makePanels(shared, columns, s, wheel) {
  const [truth, flow, frames] = [shared.truth, shared.flow, shared.frames].map(readLayer);
  const [height, width] = truth.size;
  const annotation = ["annotation", (frame) => truth.outlines[frame]];
  const panel = (title, note, uris, ...paths) => makePanel(title, note, truth.size, uris, [...paths, annotation]);
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
    const dim = (frame) => `M-1-1H${width}V${height}H-1z${layer.foreground[frame] ?? ""}`;
    groups.push({ title: column.label, column, panels: [
      panel("Segments", make("span", { class: "legend" }), layer.pictures),
      panel("Foreground", make("span", { class: "now" }), frames?.pictures, ["dim", dim], ["foreground", (f) => layer.foreground[f]]),
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

// Which segments are taken in a frame: `taken` has them as a set, and tells the number of the cut.
function cutAt(sequence, frame) {
  const index = sequence.cuts.findIndex(({ start, stop }) => start <= frame && frame < stop);
  const assigned = Object.values(sequence.objects).filter((label) => label >= 0);
  return { index, taken: new Set([...(sequence.cuts[index]?.labels ?? []), ...assigned]) };
}

function segmentLegend(colors, taken) {
  return colors.map((color, k) => make("span", { class: taken.has(k) ? "taken" : "" },
    make("i", { style: { background: color } }), `${k + 1}`,
    taken.has(k) ? make("b", { title: "taken as foreground" }, "✓", make("span", { class: "hidden" }, " foreground")) : null));
}

function makePlayer({ dataset, s, columns, measure, wheel, frame = 0, onframe }) {
  const shared = dataset.pictures[s];
  if (!isNumber(shared.truth)) return { element: make("p", { class: "note" }, "There are no pictures of this sequence."), stop() {} };
  const groups = makePanels(shared, columns, s, wheel);
  const panels = groups.flatMap((group) => group.panels);
  const total = framesOf(dataset.columns, s);
  const fetch = pictureCache(panels.length * (AHEAD + 4));
  let timer = null;

  const cursor = make("span", { class: "cursor" });
  const timeline = plot(columns, s, measure, { class: "plot timeline", onpointerdown: onpointer, onpointermove: onpointer }, cursor);
  const slider = make("input", { type: "range", min: 0, max: total - 1, value: frame, "aria-label": "Frame",
    oninput: () => { stop(); show(+slider.value); } });
  const play = make("button", { type: "button", class: "play", onclick: () => (timer ? stop() : start()) });
  const counter = make("output", { class: "counter" });
  const speed = menu("speed", SPEEDS.map((fps) => [String(fps), `${fps} frames/s`]), "12", () => {});
  const outlines = make("input", { type: "checkbox", checked: true, onchange: () =>
    element.classList.toggle("plain", !outlines.checked) });

  async function show(next) {
    const target = frame = Math.max(0, Math.min(total - 1, next));
    const images = await Promise.all(panels.map((panel) => panel.uri(target) && fetch(panel.uri(target))));
    if (frame !== target) return; // another frame was asked for meanwhile
    panels.forEach((panel, i) => panel.show(frame, images[i]));
    describe();
    for (let t = frame + 1; t <= frame + AHEAD; t++) panels.forEach((panel) => panel.uri(t) && fetch(panel.uri(t)));
    if (!timer) onframe(frame);
  }
  function describe() {
    let text = `frame ${frame + 1} of ${total}`;
    const cuts = columns.find((column) => column.sequences[s]?.cuts)?.sequences[s];
    if (cuts?.cuts.length > 1) text += `, cut ${cutAt(cuts, frame).index + 1} of ${cuts.cuts.length}`;
    counter.textContent = text;
    slider.value = frame;
    slider.setAttribute("aria-valuetext", text);
    cursor.style.left = `${(100 * frame) / Math.max(1, total - 1)}%`;
    for (const { column, panels: [segments, foreground], colors } of groups) {
      if (!column) continue;
      const sequence = column.sequences[s];
      const at = sequence.frames.indexOf(frame);
      segments.element.querySelector(".legend").replaceChildren(...segmentLegend(colors, cutAt(sequence, frame).taken));
      foreground.element.querySelector(".now").textContent = at < 0 ? "not scored in this frame"
        : dataset.measures.map((name) => `${name} ${score(sequence.scores[name]?.[at])}`).join(" · ");
    }
  }
  function start() {
    if (frame >= total - 1) frame = -1;
    const tick = async () => {
      const began = performance.now();
      await show(frame + 1);
      if (!timer) return;
      if (frame >= total - 1) return stop();
      timer = setTimeout(tick, Math.max(0, 1000 / +speed.querySelector("select").value - (performance.now() - began)));
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
    const steps = { ArrowLeft: frame - 1, ArrowRight: frame + 1, Home: 0, End: total - 1 };
    if (event.key in steps) { stop(); show(steps[event.key]); }
    else if (event.key === " " && event.target === element) timer ? stop() : start();
    else return;
    event.preventDefault();
  }
  function onpointer(event) {
    if (event.type === "pointermove" && !event.buttons) return;
    const box = timeline.querySelector("svg").getBoundingClientRect();
    stop();
    show(Math.round(((event.clientX - box.left) / box.width) * (total - 1)));
  }

  const step = (label, text, move) => make("button", { type: "button", "aria-label": label, title: label,
    onclick: () => { stop(); show(move()); } }, text);
  const element = make("div", { class: "player", tabindex: 0, role: "group", onkeydown,
    "aria-label": `Player of ${dataset.sequences[s]}: arrow keys step, space plays, Home and End jump` },
    make("div", { class: "stage", style: { "--groups": groups.length } }, ...groups.map((group) =>
      make("div", { class: "group", role: "group", "aria-label": group.title },
        make("h4", {}, group.column ? swatch(group.column) : null, group.title),
        ...group.panels.map((panel) => panel.element), group.card))),
    make("p", { class: "note unit" }, `${measure} in every frame; dotted: a new cut`),
    timeline, slider,
    make("div", { class: "controls" }, step("Previous frame", "◀", () => frame - 1), play, step("Next frame", "▶", () => frame + 1),
      speed, make("label", { class: "field" }, outlines, make("span", { class: "key" }), "annotation"), counter),
    make("p", { class: "note" }, "Segments: one colour each, ", make("b", {}, "✓"), " if taken as foreground. Foreground: what is left bright. ",
      "The outline is the annotation, which the method has not seen."),
    make("p", { class: "note keys" }, "With the player in focus: ", ...["←", "→"].map((key) => make("kbd", {}, key)), " step, ",
      make("kbd", {}, "space"), " plays, ", make("kbd", {}, "Home"), make("kbd", {}, "End"), " jump."));
  label();
  show(frame);
  return { element, stop, frame: () => frame };
}
