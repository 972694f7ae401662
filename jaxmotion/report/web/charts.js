// Bars of a sequence's scores and curves of its frames, for the columns that are shown.

function bars(columns, s, measure) {
  return make("div", { class: "bars" }, ...columns.map((column) => {
    const value = column.sequences[s]?.statistics[`${measure}_mean`];
    const fill = { class: `fill ${column.kind}`, style: { "--color": column.color, width: `${100 * value}%` } };
    return make("div", { class: "bar" },
      make("span", { class: "name", title: column.label }, column.label),
      isNumber(value) ? make("span", { class: "track" }, make("span", fill))
        : make("span", { class: "why", title: column.reasons?.[s] }, column.reasons?.[s]),
      make("span", { class: "value" }, score(value)));
  }));
}

function framesOf(columns, s) {
  return Math.max(1, ...columns.map((column) => column.sequences[s]?.num_frames ?? 0));
}

// The curves in a box with the ends of their scale; `more` lies over them.
function plot(columns, s, measure, attributes, ...more) {
  const line = curve(columns, s, measure);
  if (!line) return null;
  const ends = [1, 0.5, 0].map((value) => make("span", {}, String(value)));
  return make("div", attributes, make("div", { class: "ends", "aria-hidden": "true" }, ...ends), line, ...more);
}

// Scores over the frames, from 0 at the bottom to 1; cuts are upright lines. Stretches to its box.
function curve(columns, s, measure) {
  const scored = columns.filter((column) => column.sequences[s]?.scores?.[measure]);
  if (!scored.length) return null;
  const last = Math.max(1, framesOf(scored, s) - 1);
  const line = (attributes) => draw("line", { "vector-effect": "non-scaling-stroke", ...attributes });
  const svg = draw("svg", { class: "curve", viewBox: `0 0 ${last} 1`, preserveAspectRatio: "none", role: "img",
    "aria-label": scored.map((column) => describeCurve(column, s, measure)).join(". ") });
  svg.append(...[0, 0.5, 1].map((y) => line({ class: "grid", x1: 0, x2: last, y1: y, y2: y })));
  svg.append(...scored[0].sequences[s].cuts.slice(1).map(({ start }) =>
    line({ class: "cut", x1: start - 0.5, x2: start - 0.5, y1: 0, y2: 1 })));
  for (const column of [...scored].reverse()) {
    const { frames, num_frames } = column.sequences[s];
    const kind = frames.length < num_frames / 2 || num_frames === 1 ? "dots" : column.kind; // scored here and there
    svg.append(draw("path", { d: curvePath(column.sequences[s], measure, kind === "dots"), class: kind,
      "vector-effect": "non-scaling-stroke", style: { stroke: column.color } }));
  }
  return svg;
}

function curvePath({ frames, scores }, measure, dots) {
  let path = "", broken = true;
  scores[measure].forEach((value, i) => {
    if (isNumber(value)) path += `${broken ? "M" : "L"}${frames[i]} ${(1 - value).toFixed(3)}${broken ? "h0" : ""}`;
    broken = dots || !isNumber(value);
  });
  return path;
}

function describeCurve(column, s, measure) {
  const { frames, scores } = column.sequences[s];
  const known = scores[measure].map((value, i) => [value, frames[i]]).filter(([value]) => isNumber(value));
  if (!known.length) return `${column.label}: no scores`;
  const [low, where] = known.reduce((a, b) => (b[0] < a[0] ? b : a));
  const high = Math.max(...known.map(([value]) => value));
  return `${measure} per frame of ${column.label}: ${score(low)} (lowest, frame ${where + 1}) to ${score(high)}`;
}
