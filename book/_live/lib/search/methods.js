// How methods rank: cosines of a text with places of pictures, each an exact sum over the words.

const DIM = 100;

function dot(a, i, b, j) {
  let total = 0;
  for (let d = 0; d < DIM; d++) total += a[i + d] * b[j + d];
  return total;
}

/**
 * One cosine. places: (n * 100) rows of length 1; means: (n_folds * 100), what all texts have in
 * common, by the map that placed the picture; fold: which map that is; weight: of the cosine.
 */
export class Part {
  constructor(places, means, fold, weight = 1) {
    Object.assign(this, { places, means, weight, count: places.length / DIM });
    this.fold = means.length > DIM ? fold : new Uint8Array(this.count);
    this.shared = Float64Array.from(this.fold, (f, i) => dot(means, f * DIM, places, i * DIM));
  }

  /** By fold: how long a text is without what all texts have in common. */
  rests(told) {
    return Array.from({ length: this.means.length / DIM }, (_, f) => {
      let square = 0;
      for (let d = 0; d < DIM; d++) square += (told[d] - this.means[f * DIM + d]) ** 2;
      return Math.sqrt(square);
    });
  }

  /** Add the weighted cosine of a text with each picture to the scores. */
  addText(scores, told) {
    const rests = this.rests(told);
    for (let i = 0; i < this.count; i++) {
      const cosine = (dot(told, 0, this.places, i * DIM) - this.shared[i]) / rests[this.fold[i]];
      scores[i] += this.weight * cosine;
    }
  }

  /** Add the weighted cosine of a place with each picture to the scores. */
  addPlace(scores, place) {
    for (let i = 0; i < this.count; i++) {
      scores[i] += this.weight * dot(place, 0, this.places, i * DIM);
    }
  }

  /** Add each word's share of the cosine with one picture, and at the end that of the means. */
  addShares(shares, query, i) {
    const rest = this.rests(query.told)[this.fold[i]];
    query.known.forEach(({ count, vector }, w) => {
      const part = count * dot(vector, 0, this.places, i * DIM) / query.length;
      shares[w] += this.weight * part / rest;
    });
    shares[query.known.length] -= this.weight * this.shared[i] / rest;
  }
}

/** A method is a weighted sum of cosines. */
export class Method {
  constructor(parts) {
    this.parts = parts;
    this.count = parts[0].count;
  }

  /** What a phrase scores with each picture. */
  scores(query) {
    const scores = new Float64Array(this.count);
    for (const part of this.parts) part.addText(scores, query.told);
    return scores;
  }

  /** What a picture, placed by a method, scores with each; itself comes last. */
  scoresOfPicture(i, placed = this) {
    const scores = new Float64Array(this.count);
    this.parts.forEach((part, p) => {
      part.addPlace(scores, placed.parts[p].places.subarray(i * DIM, (i + 1) * DIM));
    });
    if (placed === this) scores[i] = -Infinity;
    return scores;
  }

  /** The part of each word in a score, in the phrase's order, and of what all texts share. */
  shares(query, i) {
    const shares = new Array(query.known.length + 1).fill(0);
    for (const part of this.parts) part.addShares(shares, query, i);
    return shares;
  }
}

/** Places of the k largest scores, of equal ones the first. */
export function topOf(scores, k) {
  const order = Array.from(scores.keys());
  return order.sort((a, b) => scores[b] - scores[a] || a - b).slice(0, k);
}
