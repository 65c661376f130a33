// The page of `gen eval --out`: what each character or note of a file cost a run.

const data = page.data;
const TOP = data.kind === "music" ? 20 : 8; // bits, from which on a colour is no stronger
const body = page.element("div");
const bits = (nats) => nats === null ? null : nats / Math.LN2;
const rounded = (number) => number === null ? "" : number.toFixed(2);

// Returns the number of the line of each character and its column, both from 1.
function lines_and_columns(characters) {
  let line = 1, column = 1;
  return characters.map((character) => {
    const place = [["line", line], ["column", column]];
    [line, column] = character === "\n" ? [line + 1, 1] : [line, column + 1];
    return place;
  });
}

// Returns what the readout says of the cost of a character or a note, with the number as the data have it.
function costs(view, nats) {
  if (view.is_difference) return [["difference in nats", nats], ["in bits", rounded(bits(nats))]];
  const odds = nats === null ? 0 : Math.exp(-nats);
  return [["nats", nats], ["bits", rounded(bits(nats))], ["probability", odds.toPrecision(3)]];
}

function draw_document(view, shown) {
  const colour = (number) => page.heat(bits(shown.nats[number]), TOP, data.kind === "music" ? 0.06 : 0);
  if (data.kind === "music") {
    return draw_roll(shown.notes, colour, (numbers) => page.read(numbers.map((number) => {
      const note = shown.notes[number];
      const place = note.place ? [["at", note.place]] : [];
      return [["note", pitch_name(note.pitch)], ...costs(view, shown.nats[number]), ...place,
        ["onset", `${rounded(note.onset_seconds)} s`], ["lasts", `${rounded(note.duration_seconds)} s`],
        ["velocity", note.velocity], note.is_drum ? ["drums", ""] : ["program", note.program]];
    })));
  }
  const places = lines_and_columns(shown.characters);
  return draw_text(shown.characters, colour, (numbers) => page.read(numbers.map((number) => {
    const character = shown.characters[number];
    return [["character", visible(character).trim() || "space"], ["", name_of(character)], ...costs(view, shown.nats[number]),
      ...places[number]];
  })));
}

// Returns a list of passages; each, when chosen, is scrolled to and underlined.
function draw_passages(view, drawn) {
  let chosen = [];
  const rows = view.passages.map((passage) => {
    const button = page.element("button", "", null, page.element("span", "", rounded(bits(passage.nats))),
      page.element("bdi", "", Array.from(passage.text, visible).join("")), page.element("span", "faint", passage.place));
    button.type = "button";
    button.addEventListener("click", () => {
      chosen.forEach((item) => item.classList.remove("chosen"));
      chosen = drawn[passage.document].item_of.slice(passage.start, passage.stop);
      chosen.forEach((item) => item.classList.add("chosen"));
      chosen[0].scrollIntoView({ block: "center", inline: "center" });
    });
    return page.element("li", "", null, button);
  });
  return page.element("ol", "", null, ...rows);
}

function draw_view(view) {
  const drawn = view.documents.map((shown) => draw_document(view, shown));
  body.replaceChildren(page.table(view.figures));
  if (view.passages.length) {
    const each = `bits a ${data.piece}`;
    const title = view.is_difference ? `Passages that differ most (difference, ${each})` : `Most surprising passages (${each})`;
    body.append(page.element("h2", "", title), draw_passages(view, drawn));
  }
  view.documents.forEach((shown, number) => body.append(page.element("h2", "", shown.name), drawn[number].box));
  page.read([[["Point at a character or a note, or use the arrow keys.", ""]]]);
}

const choice = page.element("select");
choice.setAttribute("aria-label", "run");
data.views.forEach((view, number) => choice.append(new Option(view.label, number)));
choice.addEventListener("change", () => draw_view(data.views[choice.value]));
if (data.views.length > 1) page.main.append(page.element("p", "", "Run: ", choice));
if (data.remark) page.main.append(page.element("p", "faint", data.remark));
page.main.append(page.legend([0, 0.25, 0.5, 0.75, 1].map((share) => share * TOP), TOP, "bits"), body);
draw_view(data.views[0]);
