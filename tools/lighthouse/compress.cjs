// node compress.cjs FOLDER: writes NAME.gz and NAME.br beside each file that compression makes
// smaller, as a host with precompression keeps them.
"use strict";
const fs = require("node:fs");
const path = require("node:path");
const { promisify } = require("node:util");
const zlib = require("node:zlib");

const TEXTS = new Set([".html", ".css", ".js", ".mjs", ".json", ".svg", ".txt", ".wasm", ".bin"]);
const gzip = promisify(zlib.gzip), brotli = promisify(zlib.brotliCompress);
// Hosts that compress once and keep the result can afford a high level; 11 is slow on megabytes.
const BROTLI = { params: { [zlib.constants.BROTLI_PARAM_QUALITY]: 9 } };

async function compress(file) {
  const content = await fs.promises.readFile(file);
  const [zipped, brotlied] = await Promise.all([gzip(content, { level: 9 }),
                                                brotli(content, BROTLI)]);
  await fs.promises.writeFile(`${file}.gz`, zipped);
  await fs.promises.writeFile(`${file}.br`, brotlied);
}

async function main(folder) {
  const names = fs.readdirSync(folder, { recursive: true })
    .filter((name) => TEXTS.has(path.extname(name)));
  for (const name of names) await compress(path.join(folder, name));
}

main(process.argv[2]);
