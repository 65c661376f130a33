// A text whose characters are coloured by a value each.

const MARKS = { "\n": "\u23ce", "\t": "\u2192\t", "\r": "\u240d", "\u2028": "\u2424", "\u2029": "\u2424" };
const CONTROL = /^[\u0000-\u001f\u007f-\u009f\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]$/;
const JOINS = /^[\p{M}\u200d\ufe00-\ufe0f\u{1f3fb}-\u{1f3ff}]/u;

// Returns a character as it is shown: marks for line ends and tabs, numbers for characters that would not be seen.
function visible(character) {
  if (character in MARKS) return MARKS[character];
  if (!CONTROL.test(character)) return character;
  const code = character.codePointAt(0);
  return code < 0x20 ? String.fromCodePoint(0x2400 + code) : `[${name_of(character)}]`;
}

// Returns the code points of a text, such as U+0041.
function name_of(text) {
  const name = (character) => "U+" + character.codePointAt(0).toString(16).toUpperCase().padStart(4, "0");
  return Array.from(text, name).join(" ");
}

// Draws a text; returns its box and the element of each character.
// Each line is isolated, so that one in a script from right to left moves no other. A character that combines with the
// one before it shares its element; `tell(numbers)` is called with all characters of an element.
//   characters: strings, in order.  colour(number): of a character, as CSS.  tell(numbers): shows what is pointed at.
function draw_text(characters, colour, tell) {
  const box = page.element("div", "text");
  const items = [], groups = [], item_of = [];
  let line = null, joins = false;
  characters.forEach((character, number) => {
    if (line === null) {
      line = page.element("div");
      line.dir = "auto";
      box.append(line);
      joins = false;
    }
    const last = items.length - 1;
    if (last >= 0 && line.hasChildNodes() && (joins || JOINS.test(character))) {
      items[last].textContent += character;
      groups[last].push(number);
    } else {
      const item = page.element("span", character in MARKS || CONTROL.test(character) ? "item mark" : "item", visible(character));
      item.number = items.length;
      item.style.background = colour(number);
      items.push(item);
      groups.push([number]);
      line.append(item);
    }
    item_of.push(items[items.length - 1]);
    joins = character === "\u200d";
    if (character === "\n") line = null;
  });
  page.point(box, items, (item) => tell(groups[item]));
  return { box, item_of };
}
