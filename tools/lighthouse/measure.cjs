// node measure.cjs FOLDER PAGE RUNS: serves FOLDER on this machine alone, measures PAGE with
// Lighthouse (mobile profile) RUNS times, each in a new browser, and prints the numbers as JSON.
"use strict";
const { pathToFileURL } = require("node:url");

// No sandbox, since continuous integration may run as root; no traffic of the browser's own.
const FLAGS = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic",
               "--disable-dev-shm-usage", "--disable-background-networking", "--disable-sync",
               "--disable-component-update"];
const CATEGORIES = ["performance", "accessibility", "best-practices", "seo"];

// Packages of modules, found by way of NODE_PATH, which `import` itself does not read.
function load(name) {
  return import(pathToFileURL(require.resolve(name)));
}

function serve(folder) {
  const server = require("http-server").createServer({ root: folder, gzip: true, brotli: true });
  return new Promise((resolve) => {
    server.listen(0, "127.0.0.1", () => resolve(server));
  });
}

// What costs points: the weighted audits of all categories with less than 0.9.
function lostPoints(report) {
  const lost = {};
  for (const category of Object.values(report.categories))
    for (const { id, weight } of category.auditRefs) {
      const { score } = report.audits[id];
      if (weight > 0 && score !== null && score < 0.9) lost[id] = score;
    }
  return lost;
}

function summarize(report) {
  const value = (id) => report.audits[id].numericValue;
  const requests = report.audits["network-requests"].details.items;
  const bytes = (items) => items.reduce((sum, item) => sum + item.transferSize, 0);
  return {
    scores: Object.fromEntries(CATEGORIES.map(
      (name) => [name, Math.round(100 * report.categories[name].score)])),
    lcp_ms: value("largest-contentful-paint"),
    fcp_ms: value("first-contentful-paint"),
    speed_index_ms: value("speed-index"),
    tbt_ms: value("total-blocking-time"),
    cls: value("cumulative-layout-shift"),
    bytes: bytes(requests),
    script_bytes: bytes(requests.filter((item) => item.resourceType === "Script")),
    requests: requests.length,
    elements: value("dom-size"),
    lost: lostPoints(report),
  };
}

async function measure(url, { default: lighthouse }, { launch }) {
  const chrome = await launch({ chromeFlags: FLAGS });
  try {
    const { lhr } = await lighthouse(url, {
      port: chrome.port, onlyCategories: CATEGORIES, locale: "en-US", logLevel: "error" });
    if (lhr.runtimeError) throw new Error(`${url}: ${lhr.runtimeError.message}`);
    const browser = lhr.environment.hostUserAgent.match(/Chrome\/[\d.]+/)[0];
    return { ...summarize(lhr), lighthouse: lhr.lighthouseVersion, browser,
             benchmark_index: lhr.environment.benchmarkIndex };
  } finally {
    chrome.kill();
  }
}

async function main(folder, page, runs) {
  const packages = [await load("lighthouse"), await load("chrome-launcher")];
  const server = await serve(folder), results = [];
  const url = `http://127.0.0.1:${server.server.address().port}/${page}`;
  for (let run = 0; run < Number(runs); run++) results.push(await measure(url, ...packages));
  server.close();
  console.log(JSON.stringify(results));
}

main(...process.argv.slice(2));
