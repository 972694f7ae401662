// The headline as tables, and the paired differences.

const KINDS = {
  checkpoint: ["trained network", "evaluated here"],
  results: ["result folder", "masks of another program, scored here"],
  published: ["published", "Their flow, frames and selection may differ from those here"],
  baseline: ["baseline", "needs no training"],
};
const STATISTICS = {
  mean: "over the frames that were scored; 1 is perfect",
  recall: "share of frames that score above one half",
  decay: "how much is lost from the first to the last quarter of a sequence; lower is better",
};

function methodCell(column) {
  const [word, hint] = KINDS[column.kind];
  return make("span", { class: "method" }, make("span", {}, swatch(column), " ", column.name),
    make("small", { title: column.source || hint }, word),
    column.partial ? make("small", { class: "badge" }, "partial") : null);
}

// Publications that tell no scores per sequence are shown on demand: their means are of other sequences.
function headlineTable(dataset) {
  const wholes = dataset.columns.filter((column) => !hasSequences(column));
  const holder = make("div");
  const fill = (all) => {
    const rows = dataset.columns.filter((column) => all || hasSequences(column));
    const sources = [...new Set(rows.filter(({ kind }) => kind === "published").map(({ source }) => source))];
    holder.replaceChildren(statisticsTable(dataset, rows),
      make("p", { class: "note" }, ...Object.entries(STATISTICS).map(([name, text]) => `${name}: ${text}. `)),
      make("p", { class: "note" }, sources.length ? `Published scores: ${sources.join("; ")}. ${KINDS.published[1]}.` : ""));
  };
  fill(false);
  const more = make("input", { type: "checkbox", onchange: () => fill(more.checked) });
  return make("div", {}, holder, wholes.length ? make("label", { class: "field" }, more,
    `also ${plural(wholes.length, "publication")} with a mean over the whole dataset only`) : null);
}

function statisticsTable(dataset, rows) {
  const statistics = dataset.measures.flatMap((measure) =>
    Object.keys(STATISTICS).map((name) => [measure, name]));
  const shown = statistics.filter(([measure, name]) =>
    rows.some((column) => isNumber(column.means[`${measure}_${name}`])));
  const both = rows.some((column) => isNumber(column.means.JF_mean))
    ? [{ title: "J&F", hint: "mean of J and F", value: (c) => c.means.JF_mean, cell: (c) => meter(c.means.JF_mean) }] : [];
  const columns = [
    { title: "method", value: (c) => c.name, cell: methodCell },
    ...both,
    ...(rows.some((column) => isNumber(column.means.T_mean))
      ? [{ title: "T", hint: "change of the outline from frame to frame; lower is steadier", value: (c) => c.means.T_mean, cell: (c) => (isNumber(c.means.T_mean) ? score(c.means.T_mean) : "–") }] : []),
    ...shown.map(([measure, name]) => {
      const key = `${measure}_${name}`;
      return {
        title: `${measure} ${name}`, hint: STATISTICS[name], value: (c) => c.means[key],
        cell: (c) => (name === "decay" ? signed(c.means[key]) : meter(c.means[key])),
      };
    }),
    { title: "sequences", hint: "how many sequences the means are over; all: those of the publication", value: (c) => c.count,
      cell: (c) => (c.count == null ? "all" : c.partial ? `${c.count} of ${dataset.sequences.length}` : c.count) },
  ];
  return sortableTable(`Every method on ${dataset.name}. A click on a title sorts.`, columns, rows, "table");
}

// One row a group of sequences or frames: the first measure of each method in it, and how much it is above the rest.
function groupTable(dataset) {
  if (!dataset.groups.length) return null;
  const measure = dataset.measures[0], key = `${measure}_mean`;
  const methods = dataset.columns.filter((column) => column.groups && hasSequences(column));
  const columns = [
    { title: "group", value: (g) => g.name, cell: (g) => make("span", { class: "method" }, g.name, make("small", {}, g.about)) },
    { title: "size", hint: "number of sequences or frames in it", value: (g) => g.count, cell: (g) => plural(g.count, g.unit.slice(0, -1)) },
    ...methods.map((column) => ({
      title: column.name, hint: `mean ${measure} in the group, and how much that is above the mean of the rest`,
      value: (g) => column.groups[g.name]?.inside[key], cell: (g) => groupCell(column.groups[g.name], key),
    })),
  ];
  return sortableTable(`Mean ${measure} by groups, and how far from the rest. A click on a title sorts.`, columns, [...dataset.groups]);
}

function groupCell(group, key) {
  if (!group) return "";
  const inside = group.inside[key], outside = group.outside[key];
  return make("span", { class: "method" }, meter(inside), make("small", {},
    isNumber(inside) && isNumber(outside) ? `${signed(inside - outside)} ` : "",
    group.lost ? "mostly not found again" : isNumber(group.recovery) ? `found again after ${plural(group.recovery, "frame")}` : ""));
}

// One row a method, over all datasets, the first measure of each.
function overviewTable(datasets) {
  const rows = new Map();
  datasets.forEach((dataset, d) => dataset.columns.filter(hasSequences).forEach((column) => {
    const key = `${column.kind} ${column.name}`;
    if (!rows.has(key)) rows.set(key, { ...column, partial: false, byDataset: [] });
    const row = rows.get(key);
    row.partial ||= column.partial;
    row.byDataset[d] = column.means;
  }));
  const columns = [
    { title: "method", value: (row) => row.name, cell: methodCell },
    ...datasets.flatMap((dataset, d) => dataset.measures.slice(0, 2).map((measure) => {
      const value = (row) => row.byDataset[d]?.[`${measure}_mean`];
      return { title: `${dataset.name} ${measure}`, hint: STATISTICS.mean, value, cell: (row) => meter(value(row)) };
    })),
  ];
  return sortableTable("Every method on every dataset, means. A click on a title sorts.", columns, [...rows.values()]);
}

// A row a comparison: a dot for every sequence, a bar for the interval of the mean, zero in the middle.
function differenceChart(dataset, measure) {
  const rows = dataset.differences.filter((row) => row.statistic === `${measure}_mean`);
  if (!rows.length) return null;
  const values = rows.flatMap((row) => [row.low, row.high, row.mean, ...Object.values(row.sequences)]).filter(isNumber);
  const limit = Math.max(0.02, ...values.map(Math.abs)) * 1.05;
  const at = (value) => `${50 + (50 * value) / limit}%`;
  const level = Math.round(100 * rows[0].level);
  return make("div", {},
    make("p", {}, `How much higher the mean ${measure} of `, make("b", {}, rows[0].method), " is than that of the others, ",
      "on the sequences that both have. A dot is a sequence, the diamond the mean; the bar is where the mean would ",
      `likely (${level}\u00a0%) fall with other sequences of the kind. A bar that crosses zero: the difference may be chance.`),
    make("div", { class: "forest" }, ...rows.flatMap((row) => [
      make("div", { class: "versus" }, `against ${row.published ? "published " : ""}${row.other}`),
      make("div", { class: "axis", "aria-hidden": "true" },
        ...Object.entries(row.sequences).filter(([, value]) => isNumber(value))
          .map(([name, value]) => make("i", { title: `${name} ${signed(value)}`, style: { left: at(value) } })),
        isNumber(row.low) ? make("u", { style: { left: at(row.low), right: `calc(100% - ${at(row.high)})` } }) : null,
        make("b", { style: { left: at(row.mean) } })),
      make("div", { class: "verdict" }, make("b", {}, signed(row.mean)),
        isNumber(row.low) ? ` [${signed(row.low)}, ${signed(row.high)}] ` : " ",
        make("span", { class: row.excludes_zero ? verdict(row.mean) : "unclear" },
          row.excludes_zero ? (row.mean > 0 ? "higher" : "lower") : "not clear"),
        make("small", {}, ` ${plural(Object.keys(row.sequences).length, "sequence")}`)),
    ]),
    make("div", { class: "scale", "aria-hidden": "true" },
      make("span", {}, signed(-limit)), make("span", {}, "0"), make("span", {}, signed(limit)))));
}
