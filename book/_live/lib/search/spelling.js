// Words that are spelled nearly like one that is not known.

/** How many letters to add, drop, change or swap from one word to another; `most` at most. */
export function distance(a, b, most) {
  let before = [], row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const change = row[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1);
      next[j] = Math.min(row[j] + 1, next[j - 1] + 1, change);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        next[j] = Math.min(next[j], before[j - 2] + 1);
      }
    }
    if (Math.min(...next) > most) return most + 1;
    [before, row] = [row, next];
  }
  return row[b.length];
}

/** Up to three known words, the nearest in spelling first, of equal ones those that are likely. */
export function nearSpellings(word, words, likely) {
  const most = word.length < 4 ? 0 : word.length < 6 ? 1 : 2, found = [];
  for (const other of most ? words : []) {
    if (Math.abs(other.length - word.length) > most || other.length < 3) continue;
    const steps = distance(word, other, most);
    const doubt = (other[0] === word[0] ? 0 : 0.5) + (likely.has(other) ? 0 : 0.25);
    if (steps <= most) found.push({ other, cost: steps + doubt });
  }
  return found.sort((a, b) => a.cost - b.cost).slice(0, 3).map(({ other }) => other);
}
