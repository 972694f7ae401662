// Bars under the player: what each track does, and when. They share the timeline's width, cursor and pointer.

const ROW = 18; // pixels, as in page.css

// A plot of the share that moves, with the bars of the events below it.
function withEvents(curve, cursor, { events, total }, handlers) {
  if (!events.length) return make("div", handlers, curve);
  const last = Math.max(1, total - 1);
  cursor.style.setProperty("bottom", `${-ROW * events.length - 12}px`);
  curve.style.setProperty("margin-left", "8rem");
  const bar = ({ track, kind, color }, [start, stop, sure]) => make("span", { class: "events-bar",
    title: `track ${track}: ${kind}, frames ${start + 1} to ${stop}, score ${sure.toFixed(2)}`,
    style: { left: `${(100 * start) / last}%`, width: `${(100 * (Math.min(stop, last) - start)) / last}%`,
      background: color, opacity: String(0.35 + 0.65 * sure) } });
  const rows = events.map((row) => make("div", { class: "events-row" },
    make("span", { class: "events-name" }, `${row.kind} `, chip({ label: row.track, color: row.color })),
    ...row.spans.map((span) => bar(row, span))));
  return make("div", { class: "with-events", ...handlers }, curve, make("div", { class: "events" }, ...rows));
}
