// A piano roll whose notes are coloured by a value each: time to the right, pitch upwards.

const SVG = "http://www.w3.org/2000/svg";
const SECOND = 60, PITCH = 7, LEFT = 34, FOOT = 18; // pixels
const NAMES = ["C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B"];

function svg(tag, attributes, text = null) {
  const found = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) found.setAttribute(name, value);
  if (text !== null) found.textContent = text;
  return found;
}

// Returns the name of a MIDI pitch; middle C, 60, is C4.
function pitch_name(pitch) {
  return `${NAMES[pitch % 12]}${Math.floor(pitch / 12) - 1}`;
}

// Draws a roll; returns its box and the element of each note.
//   notes: objects with onset_seconds, duration_seconds and pitch.  colour(number): of a note, as CSS.
//   tell(numbers): shows what is pointed at.
function draw_roll(notes, colour, tell) {
  const pitches = notes.map((note) => note.pitch);
  const low = pitches.reduce((a, b) => Math.min(a, b), 127) - 1, high = pitches.reduce((a, b) => Math.max(a, b), 0) + 1;
  const end = notes.reduce((last, note) => Math.max(last, note.onset_seconds + note.duration_seconds), 0);
  const width = LEFT + end * SECOND + 10, height = Math.max(0, high - low + 1) * PITCH;
  const roll = svg("svg", { width, height: height + FOOT });
  const top = (pitch) => (high - pitch) * PITCH;
  for (let pitch = Math.ceil(low / 12) * 12; pitch <= high; pitch += 12) {
    roll.append(svg("line", { x1: LEFT, x2: width, y1: top(pitch) + PITCH, y2: top(pitch) + PITCH }));
    roll.append(svg("text", { x: 2, y: top(pitch) + PITCH }, pitch_name(pitch)));
  }
  for (let second = 0; second <= end; second += 5) {
    const x = LEFT + second * SECOND;
    roll.append(svg("line", { x1: x, x2: x, y1: 0, y2: height }));
    roll.append(svg("text", { x: x + 2, y: height + 13 }, `${second} s`));
  }
  const items = notes.map((note, number) => {
    const item = svg("rect", {
      x: LEFT + note.onset_seconds * SECOND, y: top(note.pitch), height: PITCH, rx: 1,
      width: Math.max(3, note.duration_seconds * SECOND), fill: colour(number), class: "item",
    });
    item.number = number;
    return item;
  });
  roll.append(...items);
  const box = page.element("div", "roll", null, roll);
  page.point(box, items, (number) => tell([number]));
  return { box, item_of: items };
}
