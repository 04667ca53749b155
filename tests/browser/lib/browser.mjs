// Chromium, and the visitors that use it. A visitor has cookies of its own, and whatever its pages complain about is kept.
import { mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import process from "node:process";

import { chromium } from "playwright-core";

import { check } from "./checks.mjs";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
/** Rules of these standards; `best-practice` has the landmarks and headings. */
const STANDARDS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
const SERIOUS = ["serious", "critical"];
export const THEMES = ["light", "dark"];
export const WIDTHS = [390, 1440];
const HEIGHT = 900;

export class Browser {
  static async start() {
    const browser = new Browser();
    browser.visitors = [];
    const executablePath = process.env.ORGPLANE_CHROMIUM ?? "/usr/bin/chromium";
    // All servers are on loopback addresses, which no proxy of the machine's environment should see.
    browser.chromium = await chromium.launch({ executablePath, args: ["--no-proxy-server", "--disable-gpu"] });
    return browser;
  }

  /** Returns a new visitor of the site at `base`. Options: `javaScript`, `theme`, `width`, `base`. */
  async visitor({ base, javaScript = true, theme = "light", width = 1440 } = {}) {
    const context = await this.chromium.newContext({
      baseURL: base,
      colorScheme: theme,
      javaScriptEnabled: javaScript,
      reducedMotion: "reduce",
      viewport: { width, height: HEIGHT },
    });
    context.setDefaultTimeout(20_000);
    const visitor = new Visitor(context, await context.newPage(), base);
    this.visitors.push(visitor);
    return visitor;
  }

  problems() {
    return this.visitors.flatMap((visitor) => visitor.problems);
  }

  /** Keeps a picture of what every visitor sees, for whoever looks for the cause of a failure. */
  async keepEvidence(name) {
    const folder = process.env.ORGPLANE_EVIDENCE;
    if (!folder) return;
    mkdirSync(folder, { recursive: true });
    for (const [index, { page }] of this.visitors.entries()) {
      await page.screenshot({ path: path.join(folder, `${name}-${index}.png`), fullPage: true }).catch(() => {});
    }
  }

  async stop() {
    await this.chromium.close();
  }
}

export class Visitor {
  constructor(context, page, base) {
    this.context = context;
    this.page = page;
    this.base = base;
    /** What the pages complained about: errors of scripts, violations of the content security policy, failed requests. */
    this.problems = [];
    page.on("console", (message) => this.hear(message));
    page.on("pageerror", (error) => this.problems.push(`error of a script: ${error.message}`));
    page.on("response", (response) => this.judge(response));
    page.on("requestfailed", (request) => {
      // A download and a link that is followed before the page has loaded end the requests of the page.
      const reason = request.failure()?.errorText;
      if (reason !== "net::ERR_ABORTED") this.problems.push(`${request.url()} failed: ${reason}`);
    });
  }

  hear(message) {
    // What the server refused is judged by its status, below.
    if (message.text().startsWith("Failed to load resource")) return;
    if (message.type() === "error") this.problems.push(`${this.page.url()}: ${message.text()}`);
  }

  judge(response) {
    const isPage = response.request().isNavigationRequest();
    const status = response.status();
    if (status >= 500 || (status >= 400 && !isPage)) this.problems.push(`${response.url()} answered ${status}`);
  }

  /** Opens a path, and checks the status of the answer. */
  async open(target, status = 200) {
    const response = await this.page.goto(target);
    check(`${short(target)} answers ${status}`, response.status() === status, response.status());
    return response;
  }

  /** Returns the visible text of the page's main part. */
  async text() {
    return this.page.locator("main").innerText();
  }

  /** Checks that no page has complained so far. */
  expectNoProblems() {
    check("no script fails, nothing violates the policy, no request fails", this.problems.length === 0, this.problems);
  }

  /** Checks the accessibility of the page as it is, in both themes. */
  async expectAccessible() {
    const found = [];
    for (const theme of THEMES) {
      await this.page.emulateMedia({ colorScheme: theme });
      await this.page.evaluate(`${AXE}; null`);
      const violations = await this.page.evaluate(async (values) => {
        const result = await globalThis.axe.run(document, { runOnly: { type: "tag", values }, resultTypes: ["violations"] });
        return result.violations.map(({ id, impact, nodes }) => ({ id, impact, nodes: nodes.map(({ html, failureSummary }) => `${html.slice(0, 300)} ${failureSummary}`) }));
      }, STANDARDS);
      found.push(...violations.filter(({ impact }) => SERIOUS.includes(impact)).map((violation) => ({ theme, ...violation })));
    }
    check(`${short(this.page.url())} is accessible in both themes`, found.length === 0, found);
  }

  /** Checks that a narrow window scrolls in one direction only. */
  async expectFits(width) {
    const before = this.page.viewportSize();
    await this.page.setViewportSize({ width, height: HEIGHT });
    const widest = await this.page.evaluate(() => {
      const room = document.documentElement.clientWidth;
      const isCut = (element) => {
        for (let parent = element.parentElement; parent; parent = parent.parentElement) {
          if (getComputedStyle(parent).overflowX !== "visible") return true;
        }
        return false;
      };
      const over = [...document.querySelectorAll("body *")].filter((element) => element.getBoundingClientRect().right > room + 1 && !isCut(element));
      return document.documentElement.scrollWidth > room ? over.slice(0, 5).map((element) => element.outerHTML.slice(0, 200)) : [];
    });
    check(`${short(this.page.url())} fits into ${width} pixels`, widest.length === 0, widest);
    await this.page.setViewportSize(before);
  }

  /** Takes pictures of the page in both themes and all widths; returns the names of the files. */
  async photograph(folder, name) {
    const files = [];
    for (const width of WIDTHS) {
      await this.page.setViewportSize({ width, height: HEIGHT });
      for (const theme of THEMES) {
        await this.page.emulateMedia({ colorScheme: theme });
        await this.page.evaluate(() => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve))));
        const file = `${name}-${width}-${theme}.png`;
        await this.page.screenshot({ path: path.join(folder, file), fullPage: true });
        files.push(file);
      }
    }
    return files;
  }
}

function short(address) {
  return address.replace(/^https?:\/\/[^/]+/, "").replace(/#.*$/, "") || "/";
}
