// Typesets formulas: node formulas.js FILE, a list of {tex, displayed} as JSON, prints a list of
// {html} or {error}. MathML for screen readers, and the TeX itself, are in what it makes.

const fs = require("node:fs");
const katex = require("katex");

// What KaTeX only warns of, such as a letter it has no sizes for, is an error as well.
function complain(code, message) {
  throw new Error(`${message} [${code}]`);
}

function typeset({ tex, displayed }) {
  try {
    return { html: katex.renderToString(tex, { displayMode: displayed, strict: complain }) };
  } catch (error) {
    return { error: error.message };
  }
}

const formulas = JSON.parse(fs.readFileSync(process.argv[2], "utf8"));
process.stdout.write(JSON.stringify(formulas.map(typeset)));
