// The earlier characters or notes that a prediction leans on, by the norm of d loss / d input.

const LISTED = 5; // of them, in the readout

// Returns the norm at a lag of the loss of a token: number / 10^decimals, read as decimal digits, so as JSON has it.
function norm_at({ num_inputs, numbers, decimals }, token, lag) {
  return Number(`${numbers[token * num_inputs + lag]}e-${decimals[token]}`);
}

// Returns [number, norm] of the characters or notes that the prediction of one leans on, the greatest norm first.
// Of several tokens, of either, the greatest norm counts.
//   start: the number of the document's first token.  owners: for each of its tokens the character or note, -1 for none.
function leaned_on(leaning, { start, owners }, number) {
  const found = new Map();
  owners.forEach((owner, at) => {
    if (owner !== number) return;
    for (let lag = 0; lag < Math.min(leaning.num_inputs, at); lag++) {
      const other = owners[at - 1 - lag], norm = norm_at(leaning, start + at, lag);
      if (other >= 0 && other < number && norm > (found.get(other) ?? 0)) found.set(other, norm);
    }
  });
  return [...found].sort(([, a], [, b]) => b - a);
}

// Colours an element of a text or a piano roll.
function paint(item, colour) {
  if (item instanceof SVGElement) item.setAttribute("fill", colour);
  else item.style.background = colour;
}

let painted = []; // the elements that are marked

// Marks elements by the norms of their characters or notes, relative to the greatest, and unmarks those before.
//   item_of: the element of each character or note.  least: the strength of the colour of those that are not marked.
function mark(item_of, norms, least) {
  painted.forEach((item) => paint(item, page.heat(0, 1, least)));
  painted = norms.map(([number]) => item_of[number]);
  [...norms].reverse().forEach(([number, norm]) => paint(item_of[number], page.heat(norm, norms[0][1], least)));
}
