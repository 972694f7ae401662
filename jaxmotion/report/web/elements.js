"use strict";
// Elements are made with textContent and attributes only, never from markup: a name is just a name.

function make(tag, attributes = {}, ...children) {
  return furnish(document.createElement(tag), attributes, children);
}

function draw(tag, attributes = {}, ...children) {
  return furnish(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function furnish(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "style") Object.entries(value).forEach(([key, v]) => element.style.setProperty(key, v));
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child != null));
  return element;
}

const byId = (id) => document.getElementById(id);
const isNumber = (value) => typeof value === "number";
const score = (value) => (isNumber(value) ? value.toFixed(3) : "–");
const signed = (value) =>
  isNumber(value) ? (value <= -0.0005 ? "−" : value >= 0.0005 ? "+" : "") + Math.abs(value).toFixed(3) : "–";
const verdict = (value) => (value >= 0.0005 ? "better" : value <= -0.0005 ? "worse" : "unclear");
const hasSequences = (column) => column.kind !== "published" || column.sequences.some(Boolean);
const plural = (count, word) => `${count} ${word}${count === 1 ? "" : "s"}`;

// A group of radio buttons or check boxes that look like pills.
function pills(legend, type, options, onchange) {
  const name = `pills-${legend}`;
  return make("fieldset", {},
    make("legend", {}, legend),
    ...options.map(({ value, label, checked, swatch }) => {
      const input = make("input", { type, name, checked, onchange: () => onchange(value, input.checked) });
      return make("label", { class: "pill" }, input, swatch, label);
    }));
}

function menu(label, options, selected, onchange) {
  const select = make("select", { onchange: () => onchange(select.value) },
    ...options.map(([value, text]) => make("option", { value, selected: value === selected }, text)));
  return make("label", { class: "field" }, label, select);
}

// The color of a method: runs have one of their own, others are gray.
function swatch(column) {
  return make("span", { class: `swatch ${column.kind}`, style: { "--color": column.color }, "aria-hidden": "true" });
}
