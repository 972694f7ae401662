// What is looked at, and the page around it.

const TERMS = {
  J: ["J, the region", "Jaccard index: the area that foreground and annotation share, divided by the area that either covers. 1 is perfect, 0 no overlap."],
  F: ["F, the outline", "How much of the two outlines lies within a few pixels of each other (precision and recall in one). 1 is perfect."],
  bIoU: ["bIoU, the objects", "In every frame, the overlap of each annotated object with the segment most alike to it. 1 is perfect."],
};
const RULES = {
  salient: "segments whose flow stands out from the motion of the background are taken; needs no annotation",
  except_largest: "all segments but the largest are taken; needs no annotation",
  best_subset: "the segments whose union fits the annotation best are taken, so that scores say how good the best reading is",
  overlap: "segments that lie in the annotation by more than half are taken",
  linear_assignment: "the one segment that fits the annotation best is taken",
  nonzero: "every label but 0 is taken",
};
const RUN_COLORS = 6, GRAYS = 4;
const PUBLISHED_SHOWN = 3; // at first
const isEvaluated = ({ kind }) => kind === "checkpoint" || kind === "results";

function start() {
  const { datasets, wheel, megabytes } = JSON.parse(byId("data").textContent);
  datasets.forEach(nameColumns);
  const link = new URLSearchParams(location.hash.slice(1));
  const state = { wheel, query: "", order: "listed", shown: new Set(), speed: "12", outlines: true };
  let sequences = null, noted = null;

  function choose(d, name, frame) {
    const dataset = datasets[d];
    const first = dataset.columns[0];
    const other = dataset.columns.slice(1).find((c) => isEvaluated(c) && c.count)
      ?? dataset.columns.filter(hasSequences)[1] ?? first;
    Object.assign(state, { d, dataset, measure: dataset.measures[0], main: first.label, other: other.label });
    const published = dataset.columns.filter((c) => c.kind === "published" && hasSequences(c)).slice(0, PUBLISHED_SHOWN);
    state.shown = new Set(dataset.columns.filter((c) => isEvaluated(c) || c === first || published.includes(c)).map((c) => c.label));
    byId("terms").replaceChildren(...terms(dataset));
    byId("headline").replaceChildren(...[datasets.length > 1 ? overviewTable(datasets) : null, aboutDataset(dataset),
      headlineTable(dataset), groupTable(dataset)].filter(Boolean));
    sequences = makeSequences(d, dataset, state, remember);
    byId("sequences").replaceChildren(controls(dataset, state, update, sequences.arrange), sequences.element);
    byId("toolbar").replaceChildren(...toolbar(datasets, state, choose, update));
    update();
    const linked = sequences.items.find((item) => item.name === name);
    (linked ?? sequences.items[0])?.open(true, frame);
    linked?.element.scrollIntoView();
  }
  function update() {
    const chart = differenceChart(state.dataset, state.measure);
    byId("differences-section").hidden = !chart;
    byId("differences").replaceChildren(chart ?? "");
    sequences.update();
  }
  // The address leads back to the dataset, sequence and frame that are looked at.
  // Not at once: browsers refuse to note every step of a key that is held down.
  function remember(place) {
    clearTimeout(noted);
    const parts = new URLSearchParams({ dataset: state.dataset.name, ...place });
    noted = setTimeout(() => history.replaceState(null, "", `#${parts}`), 300);
  }

  const linked = datasets.findIndex(({ name }) => name === link.get("dataset"));
  choose(Math.max(0, linked), link.get("sequence"), Number(link.get("frame")) || 0);
  byId("footer").textContent = `This file holds everything it shows, ${megabytes.toFixed(1)} MB of pictures, and loads nothing from anywhere.`;
}

// Every column gets a label of its own and a color.
function nameColumns(dataset) {
  const counts = { run: 0, published: 0, baseline: 0 };
  for (const column of dataset.columns) {
    column.label = column.kind === "published" ? `published ${column.name}` : column.name;
    column.color = isEvaluated(column) ? `var(--run-${counts.run++ % RUN_COLORS})`
      : `var(--other-${counts[column.kind]++ % GRAYS})`;
  }
}

const TARGETS = {
  box: ["Boxes", "Only boxes are annotated here: the box around the largest region of the foreground is compared with them."],
  objects: ["Objects", "Every annotated object is compared with the one segment that is assigned to it over the whole video."],
};

function terms(dataset) {
  const { select, cut, target } = dataset.protocol;
  const entries = dataset.measures.filter((measure) => measure in TERMS).map((measure) => TERMS[measure]);
  entries.push(["Cut", `The frames that are segmented together and read with one selection; ${
    cut ? `here ${cut} frames` : "here the whole sequence"}. Upright lines in the curves are where a new cut starts.`]);
  if (target in TARGETS) entries.push(TARGETS[target]);
  if (select && target !== "objects") entries.push(["Selection", `Which segments count as foreground, chosen once per cut. Here ${select}: ${RULES[select] ?? ""}.`]);
  return entries.map(([term, text]) => make("div", {}, make("dt", {}, term), make("dd", {}, text)));
}

function aboutDataset(dataset) {
  const { name, cut, select, frames, target } = dataset.protocol;
  const parts = [plural(dataset.sequences.length, "sequence"), dataset.flow && `flow ${dataset.flow}`,
    name && `protocol ${name}`, cut != null && (cut ? `cut ${cut} frames` : "cut whole sequence"), select && target !== "objects" && `selection ${select}`,
    frames && `scored: ${frames === "official" ? "the frames of the official benchmark" : "every annotated frame that has a flow"}`, `means over ${dataset.average}s`];
  return make("p", { class: "about" }, make("b", {}, dataset.name), ": ", parts.filter(Boolean).join(" · "));
}

function toolbar(datasets, state, choose, update) {
  const shown = pills("Show", "checkbox", state.dataset.columns.filter(hasSequences).map((column) => ({
    value: column.label, label: column.label, checked: state.shown.has(column.label), swatch: swatch(column),
  })), (label, on) => { on ? state.shown.add(label) : state.shown.delete(label); update(); });
  const measure = pills("Measure", "radio", state.dataset.measures.map((name) => ({
    value: name, label: name, checked: name === state.measure })), (name) => { state.measure = name; update(); });
  const dataset = pills("Dataset", "radio", datasets.map(({ name }, d) => ({
    value: d, label: name, checked: d === state.d })), (d) => { choose(d); byId("toolbar").querySelector("input:checked").focus(); });
  return [datasets.length > 1 ? dataset : null, state.dataset.measures.length > 1 ? measure : null, shown].filter(Boolean);
}

function controls(dataset, state, update, arrange) {
  const labels = dataset.columns.filter(hasSequences).map(({ label }) => [label, label]);
  const set = (key, then) => (value) => { state[key] = value; then(); };
  return make("div", { class: "filters", role: "group", "aria-label": "Order and filter of the sequences" },
    menu("order", Object.entries(ORDERS).map(([key, [text]]) => [key, text]), state.order, set("order", arrange)),
    menu("score of", labels, state.main, set("main", update)),
    labels.length > 1 ? menu("difference to", labels, state.other, set("other", update)) : null,
    make("label", { class: "field" }, "find", make("input", { type: "search", placeholder: "name", value: state.query,
      oninput: (event) => set("query", arrange)(event.target.value) })));
}

start();
