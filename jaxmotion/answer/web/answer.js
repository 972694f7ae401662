// The player with its layers, the timeline, and the table of the segments.

const LAYERS = {
  moving: ["What moves", true],
  frames: ["Video", false],
  segments: ["Segments", true],
  tracks: ["Tracks", true],
  flow: ["Flow", false],
  saliency: ["Saliency", false],
  regions: ["Region weights", true],
};
const percent = (share) => `${(100 * share).toFixed(share < 0.0995 ? 1 : 0)} %`;

function start() {
  const data = JSON.parse(byId("data").textContent);
  byId("answer").replaceChildren(...headline(data));
  byId("player").replaceChildren(player(data));
  byId("segments").replaceChildren(segmentTable(data));
  byId("settings").replaceChildren(...Object.entries(data.settings).map(([name, value]) =>
    make("div", {}, make("dt", {}, name), make("dd", {}, value))));
  const every = data.shown.length > 1 ? data.shown[1] - data.shown[0] : 1;
  byId("footer").textContent = `This file holds everything it shows${every > 1 ? `, of every ${every}th frame,` : ""} and loads nothing from anywhere.`;
}

function headline({ segments, moving }) {
  const found = segments.filter(({ role }) => role === "moves");
  if (!found.length) return [make("b", {}, "Nothing moves on its own."),
    " All motion in this video is that of the camera, or too small to tell."];
  const mean = moving.reduce((sum, share) => sum + share, 0) / moving.length;
  return [make("b", {}, `${percent(mean)} of the picture moves on its own`), " on average: ",
    found.length === 1 ? "segment " : "segments ", ...found.flatMap((segment, i) => [i ? ", " : "", chip(segment)]), "."];
}

function chip({ label, color }) {
  return make("span", { class: "method" }, swatch({ kind: "checkpoint", color }), String(label));
}

function panelOf(layer, { pictures, size, segments, wheel }) {
  const [height, width] = size;
  const [title] = LAYERS[layer];
  if (layer === "moving") {
    const dim = (i) => `M-1-1H${width}V${height}H-1z${pictures.moving[i]}`;
    return makePanel(title, null, size, pictures.frames, [["dim", dim], ["foreground", (i) => pictures.moving[i]]]);
  }
  const notes = {
    segments: () => make("span", { class: "legend" }, ...segments.map(({ label, color, role }) =>
      make("span", { class: role === "moves" ? "taken" : "" }, make("i", { style: { background: color } }), String(label),
        role === "moves" ? make("b", { title: "moves" }, "✓") : null))),
    flow: () => make("span", {}, make("img", { src: wheel, alt: "", width: 18, height: 18 }),
      `hue: direction; full color: ${pictures.full_color.toPrecision(2)} pixels a frame`),
    tracks: () => make("span", {}, "what moves, followed; what stops stays"),
    saliency: () => make("span", {}, "bright: far from the motion of the rest"),
    regions: () => make("span", {}, "bright: weighs more, from 0 to 1"),
  };
  return makePanel(title, notes[layer]?.() ?? null, size, pictures[layer], []);
}

function player(data) {
  const layers = Object.keys(LAYERS).filter((layer) => data.pictures[layer]);
  const panels = layers.map((layer) => panelOf(layer, data));
  const show = (i, on) => { panels[i].element.hidden = !on; };
  const chosen = (layer) => LAYERS[layer][1] && !(layer === "segments" && data.pictures.tracks);
  byId("toolbar").replaceChildren(pills("Show", "checkbox", layers.map((layer, value) =>
    ({ value, label: LAYERS[layer][0], checked: chosen(layer) })), show));
  layers.forEach((layer, i) => show(i, chosen(layer)));
  const mark = make("span", { class: "cursor" }); // that of the weights, which follows the one of the timeline
  const fps = Math.round(data.fps ?? 12);
  const transport = makeTransport({
    shown: data.shown, total: data.total, frame: 0, panels,
    speed: String(SPEEDS.reduce((best, speed) => (Math.abs(speed - fps) < Math.abs(best - fps) ? speed : best))),
    describe: (frame) => {
      mark.style.left = `${(100 * frame) / Math.max(1, data.total - 1)}%`;
      return `, ${percent(data.moving[frame])} moves${data.likely ? `, ${percent(valueAt(data.likely, frame))} likely that anything does` : ""}`
        + (data.weights ? `, weighs ${valueAt(data.weights, frame).toFixed(2)}` : "");
    },
    drawTimeline: (cursor, handlers) => {
      const shares = timeline(data, cursor, handlers);
      return data.weights ? make("div", {}, shares, ...weightsPlot(data, mark, handlers)) : shares;
    },
  });
  return make("div", { class: "player", tabindex: 0, role: "group", onkeydown: transport.onkeydown,
    "aria-label": `Player of ${data.name}: arrow keys step, space plays, Home and End jump` },
    make("div", { class: "stage" }, ...panels.map((panel) => panel.element)),
    make("p", { class: "note unit" }, `Share of the picture that moves${data.likely ? "; dashed: how likely it is that anything does, up to 100 %" : ""}`), ...transport.parts, keysNote());
}

// The last frame has no flow: it is judged as the one before.
const valueAt = (values, frame) => values[Math.min(frame, values.length - 1)];

// How much moves over the frames.
function timeline(data, cursor, handlers) {
  const { moving, likely } = data;
  const top = Math.max(0.01, ...moving);
  const line = curve(moving, moving.length, top);
  const drawn = plot(moving.length, `Share of the picture that moves, at most ${percent(top)}`, [top, top / 2, 0].map(percent), cursor, {},
    draw("path", { class: "area", d: `${line}L${moving.length - 1} 1L0 1z` }),
    draw("path", { d: line, "vector-effect": "non-scaling-stroke", style: { stroke: "var(--run-0)" } }),
    ...(likely ? [draw("path", { class: "baseline", "vector-effect": "non-scaling-stroke", style: { stroke: "var(--run-1)" },
      d: curve(likely, moving.length, 1) })] : []));
  return withEvents(drawn, cursor, data, handlers);
}

// What the gate of the network makes of each frame.
function weightsPlot({ weights, total }, cursor, handlers) {
  const top = Math.max(2, ...weights);
  return [
    make("p", { class: "note unit" }, "Weight of each frame; 1 is the mean of the frames that the network sees at once"),
    plot(total, `Weight of each frame, from ${Math.min(...weights).toFixed(2)} to ${Math.max(...weights).toFixed(2)}`,
      [top, top / 2, 0].map((value) => value.toFixed(1)), cursor, handlers,
      draw("path", { d: curve(weights, total, top), "vector-effect": "non-scaling-stroke", style: { stroke: "var(--run-2)" } })),
  ];
}

// Values of the frames as a path, 0 at the bottom and the top at the top.
const curve = (values, total, top) =>
  Array.from({ length: total }, (_, i) => `${i ? "L" : "M"}${i} ${(1 - valueAt(values, i) / top).toFixed(4)}`).join("");

// A box as wide as the frames are many, with paths that stretch to it.
function plot(total, label, ends, cursor, handlers, ...paths) {
  const last = Math.max(1, total - 1);
  const svg = draw("svg", { class: "curve", viewBox: `0 0 ${last} 1`, preserveAspectRatio: "none", role: "img", "aria-label": label },
    ...[0, 0.5, 1].map((y) => draw("line", { class: "grid", x1: 0, x2: last, y1: y, y2: y, "vector-effect": "non-scaling-stroke" })),
    ...paths);
  return make("div", { class: "plot timeline", ...handlers },
    make("div", { class: "ends", "aria-hidden": "true" }, ...ends.map((text) => make("span", {}, text))), svg, cursor);
}

function segmentTable({ segments, total }) {
  const number = (key, digits) => ({ value: (row) => row[key], cell: (row) => row[key].toFixed(digits) });
  return sortableTable("Means over the video. A click on a title sorts.", [
    { title: "segment", value: (row) => row.label, cell: chip },
    { title: "moves?", value: (row) => row.role, cell: ({ role }) => (role === "moves" ? make("b", {}, "moves") : role) },
    { title: "area", hint: "share of the picture", value: (row) => row.area, cell: (row) => percent(row.area) },
    { title: "frames", hint: `in which it is seen, of ${total}`, value: (row) => row.frames, cell: (row) => row.frames },
    { title: "speed", hint: "length of its flow, pixels a frame", ...number("speed", 2) },
    { title: "residual", hint: "distance of its flow from the motion of the background, pixels a frame", ...number("residual", 2) },
  ], segments, "table");
}

start();
