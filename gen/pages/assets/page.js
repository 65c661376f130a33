"use strict";
// What all pages share: the data, elements, colours, the readout at the foot, and pointing at things.
// A text reaches the page by textContent alone.

const page = { data: JSON.parse(document.getElementById("data").textContent), main: document.querySelector("main") };

// Returns a new element with a class and a text; children may follow.
page.element = function (tag, className = "", text = null, ...children) {
  const found = document.createElement(tag);
  if (className) found.className = className;
  if (text !== null) found.textContent = text;
  found.append(...children);
  return found;
};

// Returns a table; `rows` are lists of texts and numbers, the first row is the head.
page.table = function (rows) {
  const table = page.element("table");
  rows.forEach((row, number) => {
    const cells = row.map((cell) => page.element(number ? "td" : "th", "", String(cell)));
    table.append(page.element("tr", "", null, ...cells));
  });
  return page.element("div", "wide", null, table);
};

// Returns a colour over the paper: red for values above 0, blue below, as strong as |value| / top; none for null.
page.heat = function (value, top, least = 0) {
  if (value === null) return "rgb(128 128 128 / 0.5)";
  const strength = Math.max(least, 0.8 * Math.min(1, Math.abs(value) / top));
  return value < 0 ? `rgb(50 110 215 / ${strength.toFixed(3)})` : `rgb(214 64 36 / ${strength.toFixed(3)})`;
};

// Returns a legend with a sample of the colour of each value.
page.legend = function (values, top, name) {
  const samples = values.map((value) => {
    const sample = page.element("i");
    sample.style.background = page.heat(value, top, 0.06);
    return page.element("span", "", null, sample, `${value} ${name}`);
  });
  return page.element("p", "legend", null, ...samples);
};

// Shows lines at the foot of the page; a line is a list of [name, value]. A number is shown as JSON has it.
page.read = function (lines) {
  const shown = lines.map((line) => {
    const cells = line.map(([name, value]) =>
      page.element("span", "", null, `${name} `, page.element("b", "", null, page.element("bdi", "", String(value)))));
    return page.element("div", "", null, ...cells);
  });
  document.getElementById("readout").replaceChildren(...shown);
};

// Lets a reader point at the items of a box with the mouse, a tap or the arrow keys.
// `items` are elements in their order, each with its number as `item.number`; `tell(number)` is called for each one.
page.point = function (box, items, tell) {
  let current = null;
  const go = (item) => {
    if (current) current.classList.remove("current");
    current = item;
    current.classList.add("current");
    tell(item.number);
  };
  const under = (event) => {
    const item = event.target.closest(".item");
    if (item && box.contains(item)) go(item);
  };
  box.tabIndex = 0;
  box.addEventListener("pointerover", under);
  box.addEventListener("click", under);
  box.addEventListener("focus", () => { if (!current && items.length) go(items[0]); });
  box.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1, PageDown: 50, PageUp: -50, Home: -Infinity, End: Infinity }[event.key];
    if (step === undefined || !items.length) return;
    event.preventDefault();
    const from = current ? items.indexOf(current) : -1;
    go(items[Math.max(0, Math.min(items.length - 1, from + step))]);
    current.scrollIntoView({ block: "nearest", inline: "nearest" });
  });
};
