// Charts, on pages with nothing but a chart and the content security policy of the console.
import { serve } from "../lib/assets.mjs";
import { check, contains, equal, eventually } from "../lib/checks.mjs";

const HOSTILE = "<img src=x onerror=alert(1)> \u202Eesrever";
const SERIES = ["gpt-5", "gpt-5-mini", HOSTILE];
/** A bucket with figures, one with zeros, one in which nothing was recorded, one with a gap in one series. */
const BUCKETS = [[3, 2, 1], [0, 0, 0], [null, null, null], [4, null, 2], [1, 1, 1]];

function escaped(text) {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
}

function cell(value) {
  return value === null ? "<td>–</td>" : `<td>$${value}.00</td>`;
}

function page(buckets) {
  const heads = SERIES.map((name) => `<th scope="col" data-series="bar">${escaped(name)}</th>`).join("");
  const rows = buckets.map((values, at) => `<tr><th scope="row">${at + 1} Dec</th>${values.map(cell).join("")}<td>$5.00</td></tr>`);
  return `<!doctype html><html lang="en"><head><title>Costs</title><meta name="viewport" content="width=device-width">
    <link rel="stylesheet" href="/pages.css"><link rel="stylesheet" href="/vendor/uplot/uPlot.min.css"><link rel="stylesheet" href="/charts.css">
    <script defer src="/vendor/uplot/uPlot.iife.min.js"></script><script type="module" src="/charts.js"></script></head>
    <body><main><h1>Costs</h1>
    <figure class="chart" data-table="costs" data-unit="usd" hidden><figcaption>Costs by model</figcaption></figure>
    <table id="costs"><thead><tr><th scope="col">Day</th>${heads}<th scope="col" data-series="line">Period before</th></tr></thead>
    <tbody>${rows.join("")}</tbody></table></main></body></html>`;
}

export async function run(browser, { assets }) {
  const site = await serve({ "/": page(BUCKETS), "/empty": page([]) }, assets);
  const visitor = await browser.visitor({ base: site.base });
  try {
    await visitor.open("/");
    await visitor.page.locator(".chart-plot canvas").waitFor();
    await readsFigures(visitor);
    await showsFigures(visitor);
    await missingIsNotZero(visitor);
    await worksWithKeys(visitor);
    await legendSwitchesSeries(visitor);
    await followsTheme(visitor);
    await followsWidth(visitor);
    await visitor.expectAccessible();
    await visitor.open("/empty");
    equal("no chart is drawn for a table without rows", await visitor.page.locator(".chart-plot").count(), 0);
    check("and its figure stays hidden", await visitor.page.locator("figure.chart").isHidden());
    visitor.expectNoProblems();
    await isATableWithoutScripts(browser, site.base);
  } finally {
    site.stop();
  }
}

async function readsFigures({ page }) {
  const figures = await page.evaluate(async () => {
    const { figureOf } = await import("/charts.js");
    return ["$1,234.50", "\u2212$3.00", "1,048,576", "$0.0012", "0", "\u2013"].map(figureOf);
  });
  equal("figures are read as they are shown", JSON.stringify(figures), "[1234.5,-3,1048576,0.0012,0,null]");
}

async function showsFigures({ page }) {
  const plot = page.locator(".chart-plot");
  const { width } = await plot.boundingBox();
  await plot.hover({ position: { x: 64 + (width - 64) / 10, y: 100 } });
  const text = await page.locator(".chart-tooltip").innerText();
  for (const part of ["1 Dec", "gpt-5", "$3.00", "gpt-5-mini", "$2.00", HOSTILE, "Period before", "$5.00"]) {
    contains("the tooltip has the texts of the table", text, part);
  }
  equal("a hostile name makes no element", await page.locator("figure img").count(), 0);
}

/** Returns the pixels of a bucket that are not of the background, by distance from the axis. */
async function painted(page, bucket) {
  return page.evaluate(([at, count]) => {
    const canvas = document.querySelector(".chart-plot canvas");
    const over = document.querySelector(".u-over");
    const scale = canvas.width / canvas.getBoundingClientRect().width;
    const left = over.offsetLeft + ((at + 0.5) * over.clientWidth) / count;
    const bottom = over.offsetTop + over.clientHeight;
    const pixels = (from, height) => {
      const { data } = canvas.getContext("2d").getImageData((left - 8) * scale, from * scale, 16 * scale, height * scale);
      return data.filter((value, index) => index % 4 === 3 && value > 0).length;
    };
    return { onAxis: pixels(bottom - 2, 2), above: pixels(over.offsetTop + 4, over.clientHeight - 8) };
  }, [bucket, BUCKETS.length]);
}

async function missingIsNotZero({ page }) {
  const [bar, zero, missing] = [await painted(page, 0), await painted(page, 1), await painted(page, 2)];
  check("a bar is painted", bar.above > zero.above * 2, { bar, zero });
  check("a zero is a line on the axis", zero.onAxis > 0, zero);
  check("a bucket without figures is hatched, and a zero is not", missing.above > zero.above + 50, { missing, zero });
}

async function worksWithKeys({ page }) {
  const tooltip = page.locator(".chart-tooltip");
  await page.locator(".chart-plot").focus();
  for (const [key, label] of [["Home", "1 Dec"], ["ArrowRight", "2 Dec"], ["ArrowLeft", "1 Dec"], ["ArrowLeft", "1 Dec"], ["End", "5 Dec"], ["ArrowRight", "5 Dec"]]) {
    await page.keyboard.press(key);
    await eventually(`${key} moves to ${label}`, async () => (await tooltip.locator("strong").innerText()) === label);
  }
  await page.keyboard.press("ArrowLeft");
  await eventually("a gap of one series is not listed", async () => {
    const text = await tooltip.innerText();
    return text.includes("4 Dec") && !text.includes("gpt-5-mini");
  });
  await page.keyboard.press("Escape");
  await eventually("Escape hides the tooltip", () => tooltip.isHidden());
}

async function legendSwitchesSeries({ page }) {
  const key = page.locator(".chart-key").first();
  const before = await painted(page, 0);
  await key.focus();
  await page.keyboard.press("Enter");
  equal("a key of the legend is a switch", await key.getAttribute("aria-pressed"), "false");
  const after = await painted(page, 0);
  check("a series that is off is not painted", after.above < before.above, { before, after });
  await page.keyboard.press("Enter");
  equal("and is on again", await key.getAttribute("aria-pressed"), "true");
  check("as before", (await painted(page, 0)).above === before.above);
}

async function followsTheme({ page }) {
  const color = () => page.locator(".chart-key .chart-swatch").first().evaluate((swatch) => getComputedStyle(swatch).backgroundColor);
  const light = await color();
  await page.emulateMedia({ colorScheme: "dark" });
  await eventually("the dark theme has other colours", async () => (await color()) !== light);
  await page.evaluate(() => { document.documentElement.dataset.theme = "light"; });
  await eventually("a chosen theme is stronger than the system's", async () => (await color()) === light);
  await page.evaluate(() => { delete document.documentElement.dataset.theme; });
  await page.emulateMedia({ colorScheme: "light" });
}

async function followsWidth({ page }) {
  const width = () => page.locator(".chart-plot canvas").evaluate((canvas) => canvas.getBoundingClientRect().width);
  await page.setViewportSize({ width: 390, height: 900 });
  await eventually("a chart is as wide as its place", async () => (await width()) <= 390);
  await page.setViewportSize({ width: 1440, height: 900 });
  await eventually("and grows again", async () => (await width()) > 1000);
}

async function isATableWithoutScripts(browser, base) {
  const visitor = await browser.visitor({ base, javaScript: false });
  await visitor.open("/");
  check("without scripts there is no figure", await visitor.page.locator("figure.chart").isHidden());
  equal("and the table is the report", await visitor.page.locator("tbody tr").count(), BUCKETS.length);
}
