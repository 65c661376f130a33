// The page of `gen probe --out`: a text or a piano roll coloured by what a unit does at each token, or by what the
// prediction of the one that is pointed at leans on.

const TOP_BITS = 8; // from which on the colour of a cost is no stronger
const data = page.data, body = page.element("div");
const GATES = { i: "input gate i", f: "forget gate f", g: "candidate g", o: "output gate o", r: "reset gate r",
  z: "update gate z", n: "candidate n", h: "output h", c: "cell state c" };

// Returns the numbers of an array, which are integers of 16 or 32 bits in units of 10^-decimals.
function unpacked({ bits, decimals, data: text }) {
  const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  const view = new DataView(bytes.buffer), size = bits / 8;
  const read = bits === 16 ? (at) => view.getInt16(at, true) : (at) => view.getInt32(at, true);
  return Array.from({ length: bytes.length / size }, (_, number) => read(number * size) / 10 ** decimals);
}

const nats = unpacked(data.nats);
const leaning = { ...data.leaning, numbers: unpacked(data.leaning.numbers), decimals: unpacked(data.leaning.decimals) };
const units = data.units.map((unit) => {
  const arrays = Object.fromEntries(Object.entries(unit.arrays).map(([name, array]) => [name, unpacked(array)]));
  return { ...unit, arrays, label: `${unit.layer}:${unit.unit}${unit.follows ? `, ${unit.follows}` : ""}` };
});
const names = Object.keys(units[0].arrays).reverse(); // the state first
let unit = units[0], shown = names[0];

// Returns the numbers that colour the tokens, and the largest of them.
function coloured() {
  if (shown === "surprise") return { values: nats.map((each) => each / Math.LN2), top: TOP_BITS };
  if (shown === "leaning") return { values: nats.map(() => 0), top: 1 };
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

// Returns the name of a character or a note of a document.
function named({ symbols, notes }, number) {
  return notes ? pitch_name(notes[number].pitch) : visible(symbols[number]).trim() || "space";
}

// Returns what the readout says first of a character or a note.
function described(shown_document, number) {
  const { symbols, notes } = shown_document, name = named(shown_document, number);
  if (notes) return [["note", name], ["onset", `${notes[number].onset_seconds.toFixed(2)} s`]];
  return [["character", name], ["", name_of(symbols[number])]];
}

// Marks what the prediction of a character or a note leans on, and names the most important.
function tell_leaning(shown_document, number, item_of) {
  const norms = leaned_on(leaning, shown_document, number), token = shown_document.tokens[number];
  mark(item_of, norms, least_of(shown_document));
  const most = norms.slice(0, LISTED).map(([other, norm]) => [`${named(shown_document, other)}, ${number - other} back:`, norm]);
  page.read([
    [...described(shown_document, number), ["token", token], ["nats", nats[token]]],
    most.length ? [["leans most on", ""], ...most] : [["nothing before it", ""]],
  ]);
}

function tell(what, token) {
  const values = names.map((name) => [name, unit.arrays[name][token]]);
  const sum = equation(token), state = data.cell === "lstm" ? "c = f * c' + i * g" : "h = (1 - z) * n + z * h'";
  page.read([
    [...what, ["token", token], ["unit", `${unit.layer}:${unit.unit}`], ["nats", nats[token]]], values,
    ...(sum ? [[[`${state}:`, sum]]] : []),
  ]);
}

// Returns the strength of the weakest colour: a note is drawn even where its value is 0.
function least_of({ notes }) {
  return notes ? 0.06 : 0;
}

function draw_document(shown_document) {
  const { symbols, notes, tokens } = shown_document, { values, top } = coloured();
  const colour = (number) => page.heat(values[tokens[number]], top, least_of(shown_document));
  const draw_pieces = notes ? draw_roll : draw_text;
  const drawn = draw_pieces(notes ?? symbols, colour, (numbers) => {
    const number = numbers[numbers.length - 1];
    if (shown === "leaning") tell_leaning(shown_document, number, drawn.item_of);
    else tell(described(shown_document, number), tokens[number]);
  });
  return drawn.box;
}

// Returns what the colours mean.
function meaning() {
  if (shown !== "leaning") return "Red is above 0, blue below; the strongest colour is the largest value.";
  return `Red marks what the prediction of the ${data.kind === "text" ? "character" : "note"} that is pointed at leans on: ` +
    `the norm of d loss / d input at the ${leaning.num_inputs} tokens before it (lags 0 to ${leaning.num_inputs - 1}). ` +
    "The strongest colour is the largest norm.";
}

function draw() {
  hint.textContent = `${data.remark} ${meaning()}`;
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
  menu("colour", [...names.map((name) => [name, GATES[name]]), ["surprise", "surprise in bits"],
    ["leaning", "what its prediction leans on"]], (value) => { shown = value; }));
const hint = page.element("p", "faint");
page.main.append(controls, hint, body);
data.saturation.forEach((gates, layer) => {
  if (!Object.keys(gates).length) return;
  page.main.append(page.element("h2", "", `Gates of layer ${layer}: open (above 0.9) and shut (below 0.1)`));
  page.main.append(page.element("div", "legend", null, ...Object.entries(gates).map(([name, of]) => draw_saturation(name, of))));
});
draw();
