// node styles.js FILE, {folder, styles, keep, words, letters, target} as JSON: joins the style
// sheets of a folder in one, without the rules whose names are no words of any page or script,
// and cuts its fonts down to the letters that are used.

const fs = require("node:fs");
const path = require("node:path");
const esbuild = require("esbuild");
const { PurgeCSS } = require("purgecss");
const subsetFont = require("subset-font");

// Browsers of the last five years read the first of these formats; the others need not be kept.
function onlyWoff2(css) {
  return css.replace(/src:\s*((?:url\([^)]*\)\s*format\([^)]*\),?\s*)+)/g, (all, sources) =>
    `src:${sources.split(",").find((source) => source.includes("woff2")).trim()}`);
}

async function purge({ folder, styles, keep, words }) {
  const css = styles.filter((name) => !keep.includes(name)).map((name) => (
    { name, raw: onlyWoff2(fs.readFileSync(path.join(folder, name), "utf8")) }));
  const purged = await new PurgeCSS().purge({
    content: [{ raw: words.join(" "), extension: "txt" }], css, fontFace: true, keyframes: true,
    defaultExtractor: (text) => text.split(" "),
  });
  purged.forEach((result, i) => fs.writeFileSync(path.join(folder, css[i].name), result.css));
}

// Characters that style sheets write: "\f0c9", as a content or in a variable.
function written(css) {
  return [...css.matchAll(/\\([0-9a-f]{2,6})/gi)].map((found) => (
    String.fromCodePoint(parseInt(found[1], 16)))).join("");
}

async function cutFonts({ folder, styles, letters }) {
  const sheets = styles.map((name) => [name, fs.readFileSync(path.join(folder, name), "utf8")]);
  const used = letters + sheets.map(([, css]) => written(css)).join("");
  for (const [name, css] of sheets) {
    for (const [, font] of css.matchAll(/url\(["']?([^"')]+\.woff2)["']?\)/g)) {
      const file = path.join(folder, path.dirname(name), font);
      fs.writeFileSync(file, await subsetFont(fs.readFileSync(file), used,
                                              { targetFormat: "woff2" }));
    }
  }
}

function join({ folder, styles, target }) {
  const entry = styles.map((name) => `@import "./${name}";`).join("\n");
  esbuild.buildSync({
    stdin: { contents: entry, loader: "css", resolveDir: folder }, bundle: true, minify: true,
    outfile: path.join(folder, target), assetNames: "fonts/[name]-[hash]", logLevel: "warning",
    loader: { ".woff2": "file", ".svg": "dataurl", ".png": "dataurl" },
  });
}

async function main(settings) {
  await purge(settings);
  await cutFonts(settings);
  join(settings);
}

main(JSON.parse(fs.readFileSync(process.argv[2], "utf8")));
