// The page of `gen probe --out`: a text or a piano roll coloured by what a unit does at each token.

const TOP_BITS = 8; // from which on the colour of a cost is no stronger
const data = page.data, body = page.element("div");
const GATES = { i: "input gate i", f: "forget gate f", g: "candidate g", o: "output gate o", r: "reset gate r",
  z: "update gate z", n: "candidate n", h: "output h", c: "cell state c" };

// Returns the numbers of an array, which are integers of 16 or 32 bits in units of 0.0001.
function unpacked({ bits, data: text }) {
  const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  const view = new DataView(bytes.buffer), size = bits / 8;
  const read = bits === 16 ? (at) => view.getInt16(at, true) : (at) => view.getInt32(at, true);
  return Array.from({ length: bytes.length / size }, (_, number) => read(number * size) / 10000);
}

const nats = unpacked(data.nats);
const units = data.units.map((unit) => {
  const arrays = Object.fromEntries(Object.entries(unit.arrays).map(([name, array]) => [name, unpacked(array)]));
  return { ...unit, arrays, label: `${unit.layer}:${unit.unit}${unit.follows ? `, ${unit.follows}` : ""}` };
});
const names = Object.keys(units[0].arrays).reverse(); // the state first
let unit = units[0], shown = names[0];

// Returns the numbers that colour the tokens, and the largest of them.
function coloured() {
  if (shown === "surprise") return { values: nats.map((each) => each / Math.LN2), top: TOP_BITS };
  const values = unit.arrays[shown];
  return { values, top: values.reduce((top, value) => Math.max(top, Math.abs(value)), 1e-4) };
}

// Returns the equation of the state at a token with its numbers; "" for the first token, whose past is not here.
function equation(token) {
  const a = unit.arrays, at = (name, back = 0) => {
    const value = a[name][token - back];
    return value < 0 ? `(${value})` : String(value);
  };
  if (!token) return "";
  if (data.cell === "lstm") return `${at("f")} * ${at("c", 1)} + ${at("i")} * ${at("g")} = ${a.c[token]}`;
  if (data.cell === "gru") return `(1 - ${at("z")}) * ${at("n")} + ${at("z")} * ${at("h", 1)} = ${a.h[token]}`;
  return "";
}

function tell(what, token) {
  const values = names.map((name) => [name, unit.arrays[name][token]]);
  const sum = equation(token), state = data.cell === "lstm" ? "c = f * c' + i * g" : "h = (1 - z) * n + z * h'";
  page.read([
    [...what, ["token", token], ["unit", `${unit.layer}:${unit.unit}`], ["nats", nats[token]]], values,
    ...(sum ? [[[`${state}:`, sum]]] : []),
  ]);
}

function draw_document({ symbols, notes, tokens }) {
  const { values, top } = coloured();
  const colour = (number) => page.heat(values[tokens[number]], top, notes ? 0.06 : 0);
  if (notes) {
    const of = (number) => [["note", pitch_name(notes[number].pitch)], ["onset", `${notes[number].onset_seconds.toFixed(2)} s`]];
    return draw_roll(notes, colour, ([number]) => tell(of(number), tokens[number])).box;
  }
  return draw_text(symbols, colour, (numbers) => {
    const number = numbers[numbers.length - 1];
    tell([["character", visible(symbols[number]).trim() || "space"], ["", name_of(symbols[number])]], tokens[number]);
  }).box;
}

function draw() {
  body.replaceChildren(...data.documents.map(draw_document));
  page.read([[["Point at a character or a note, or use the arrow keys.", ""]]]);
}

// Draws the saturation picture of a gate: a dot for each unit, how often it is open to the right, how often shut upwards.
function draw_saturation(name, of) {
  const side = 150, picture = svg("svg", { width: side + 30, height: side + 26, role: "img" });
  picture.append(svg("title", {}, `${GATES[name]}: share of tokens open (to the right) and shut (upwards), a dot a unit`));
  picture.append(svg("rect", { x: 20, y: 4, width: side, height: side, fill: "none", stroke: "currentColor" }));
  of.open.forEach((open, number) => {
    const dot = svg("circle", { cx: 20 + side * open, cy: 4 + side * (1 - of.shut[number]), r: 2.5, fill: page.heat(1, 1), class: "dot" });
    dot.append(svg("title", {}, `unit ${number}: open ${open}, shut ${of.shut[number]}`));
    picture.append(dot);
  });
  picture.append(svg("text", { x: 20, y: side + 20, fill: "currentColor", "font-size": 11 }, "open"));
  const upwards = { x: -side, y: 14, fill: "currentColor", "font-size": 11, transform: "rotate(-90)" };
  picture.append(svg("text", upwards, "shut"));
  return page.element("figure", "saturation", null, page.element("figcaption", "", GATES[name]), picture);
}

function menu(label, entries, choose) {
  const found = page.element("select");
  found.setAttribute("aria-label", label);
  entries.forEach(([value, text]) => found.append(new Option(text, value)));
  found.addEventListener("change", () => { choose(found.value); draw(); });
  return page.element("label", "", `${label} `, found);
}

const controls = page.element("p", "legend", null,
  menu("unit", units.map((each, number) => [number, each.label]), (value) => { unit = units[value]; }),
  menu("colour", [...names.map((name) => [name, GATES[name]]), ["surprise", "surprise in bits"]], (value) => { shown = value; }));
page.main.append(page.element("p", "faint", `${data.remark} Red is above 0, blue below; the strongest colour is the largest value.`),
  controls, body);
data.saturation.forEach((gates, layer) => {
  if (!Object.keys(gates).length) return;
  page.main.append(page.element("h2", "", `Gates of layer ${layer}: open (above 0.9) and shut (below 0.1)`));
  page.main.append(page.element("div", "legend", null, ...Object.entries(gates).map(([name, of]) => draw_saturation(name, of))));
});
draw();
