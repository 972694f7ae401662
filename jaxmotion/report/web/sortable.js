// Tables that sort, and numbers as bars.

// columns: {title, hint, value(row), cell(row)}; a click on a title sorts by value, another turns it round.
function sortableTable(caption, columns, rows, id) {
  const body = make("tbody");
  const heads = columns.map((column, i) =>
    make("th", { scope: "col", title: column.hint },
      make("button", { type: "button", onclick: () => sortBy(i) }, column.title)));
  let current = -1, descending = false;

  function sortBy(i) {
    const text = rows.some((row) => typeof columns[i].value(row) === "string");
    descending = i === current ? !descending : !text;
    current = i;
    heads.forEach((head, h) =>
      h === i ? head.setAttribute("aria-sort", descending ? "descending" : "ascending") : head.removeAttribute("aria-sort"));
    rows.sort((a, b) => compare(columns[i].value(a), columns[i].value(b), descending));
    fill();
  }
  function fill() {
    body.replaceChildren(...rows.map((row) =>
      make("tr", { class: `${row.kind ?? ""}${row.partial ? " unfinished" : ""}` }, ...columns.map((column, i) =>
        i ? make("td", {}, column.cell(row)) : make("th", { scope: "row" }, column.cell(row))))));
  }
  fill();
  return make("div", { id, class: "wide", tabindex: 0, role: "region", "aria-label": caption },
    make("table", {}, make("caption", {}, caption), make("thead", {}, make("tr", {}, ...heads)), body));
}

// Numbers or texts; what is unknown comes last whatever the direction.
function compare(a, b, descending) {
  if (a == null || b == null) return (a == null) - (b == null);
  const order = typeof a === "string" ? a.localeCompare(b, undefined, { numeric: true }) : a - b;
  return descending ? -order : order;
}

function meter(value) {
  if (!isNumber(value)) return "–";
  return make("span", { class: "meter", style: { "--share": Math.min(1, Math.max(0, value)) } }, score(value));
}
