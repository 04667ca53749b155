// Charts of a page. The data of a chart is the table that its figure names, so without this script the table is the report:
//
//   <figure class="chart" data-table="costs" data-unit="usd" hidden><figcaption>Costs by model</figcaption></figure>
//   <table id="costs">
//     <thead><tr><th>Day</th><th data-series="bar">gpt-5</th><th data-series="line">Period before</th><th>Total</th></tr></thead>
//     <tbody><tr><th>1 Dec</th><td>$1.25</td><td>–</td><td>$1.25</td></tr></tbody>
//   </table>
//
// A row is a bucket. A column with `data-series` is drawn: bars are stacked, lines are not. A cell without digits is missing,
// which is not zero: a zero is a line on the axis, a bucket where everything is missing is hatched. Figures are in the page once,
// formatted by the server: tooltips show the texts of cells, and bars are as high as the texts say.

const HEIGHT = 280;
const COLORS = 8;
const HINT = "Use the arrow keys to move from bucket to bucket. The table below has the same figures.";

/** Returns the number that a cell shows, such as `$1,234.50` or `−3`; `null` if it shows none. */
export function figureOf(text) {
  const digits = text.replace("\u2212", "-").replace(/[^0-9.-]/g, "");
  return digits === "" ? null : Number(digits);
}

/** Reads the labels and the series of a table. */
export function readTable(table) {
  const rows = [...table.tBodies[0].rows];
  const series = [...table.tHead.rows[0].cells].flatMap((head, column) => {
    if (!head.dataset.series) return [];
    const texts = rows.map((row) => row.cells[column].textContent.trim());
    return [{
      name: head.textContent.trim(),
      kind: head.dataset.series,
      shown: true,
      texts,
      values: texts.map(figureOf),
    }];
  });
  return { labels: rows.map((row) => row.cells[0].textContent.trim()), series };
}

/** Returns the upper edges of each series: for bars, the sum of the bars shown so far. `null` stays `null`. */
export function upperEdges(series) {
  const sums = [];
  return series.map(({ kind, shown, values }) => values.map((value, at) => {
    if (!shown || value === null) return null;
    if (kind !== "bar") return value;
    sums[at] = (sums[at] ?? 0) + value;
    return sums[at];
  }));
}

function append(parent, tag, className, text = "") {
  const element = document.createElement(tag);
  element.className = className;
  element.textContent = text;
  parent.append(element);
  return element;
}

/** Returns the class of the mark that shows the colour of a series. */
function swatchClass(all, series) {
  const color = series.kind === "line" ? "line" : (all.indexOf(series) % COLORS) + 1;
  return `chart-swatch series-${color}`;
}

class Chart {
  constructor(figure, table) {
    this.figure = figure;
    Object.assign(this, readTable(table));
    const money = figure.dataset.unit === "usd" ? { style: "currency", currency: "USD" } : {};
    this.ticks = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3, ...money });
    this.addLegend();
    this.addPlotArea();
    this.draw();
    new ResizeObserver(() => this.plot.setSize(this.size())).observe(this.plotArea);
  }

  addLegend() {
    const list = append(this.figure, "ul", "chart-legend");
    this.keys = this.series.map((series) => {
      const button = append(append(list, "li", ""), "button", `chart-key chart-${series.kind}`);
      button.type = "button";
      const swatch = append(button, "span", swatchClass(this.series, series));
      append(button, "bdi", "", series.name);
      button.addEventListener("click", () => {
        series.shown = !series.shown;
        this.draw();
      });
      return { button, swatch };
    });
  }

  addPlotArea() {
    this.plotArea = append(this.figure, "div", "chart-plot");
    const caption = this.figure.querySelector("figcaption")?.textContent.trim() ?? "Chart";
    const attributes = { role: "group", "aria-roledescription": "chart", "aria-label": `${caption}. ${HINT}`, tabindex: "0" };
    for (const [name, value] of Object.entries(attributes)) this.plotArea.setAttribute(name, value);
    this.tooltip = append(this.plotArea, "div", "chart-tooltip");
    this.tooltip.setAttribute("role", "status");
    this.tooltip.hidden = true;
    this.plotArea.addEventListener("keydown", (event) => this.press(event));
    this.plotArea.addEventListener("blur", () => this.select(null));
  }

  size() {
    return { width: Math.max(this.plotArea.clientWidth, 160), height: HEIGHT };
  }

  /** Returns the colour of a series in the present theme. */
  color(index) {
    return getComputedStyle(this.keys[index].swatch).backgroundColor;
  }

  /** Draws everything: at first, when a series is switched, and when the theme changes. */
  draw() {
    this.plot?.destroy();
    this.keys.forEach(({ button }, index) => button.setAttribute("aria-pressed", String(this.series[index].shown)));
    // The highest edges are drawn first, so that the lower parts of a bar cover them; lines are drawn last.
    const indices = this.series.map((_, index) => index).reverse();
    const isBar = (index) => this.series[index].kind === "bar";
    const order = [...indices.filter(isBar), ...indices.filter((index) => !isBar(index))];
    const edges = upperEdges(this.series);
    const positions = this.labels.map((_, at) => at);
    this.plot = new globalThis.uPlot(this.options(order), [positions, ...order.map((index) => edges[index])], this.plotArea);
  }

  options(order) {
    const { color: ink, borderTopColor: grid } = getComputedStyle(this.plotArea);
    const axis = { stroke: ink, font: "12px system-ui, sans-serif", ticks: { show: false } };
    const paths = globalThis.uPlot.paths.bars({ size: [0.8, 48] });
    const labels = (_, positions) => positions.map((at) => this.labels[at] ?? "");
    return {
      ...this.size(),
      legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false }, points: { show: false } },
      scales: {
        x: { time: false, range: [-0.5, this.labels.length - 0.5] },
        y: { range: (_, low, high) => [Math.min(low ?? 0, 0), (high || 1) * 1.05] },
      },
      axes: [
        { ...axis, grid: { show: false }, size: 32, space: 90, incrs: [1, 2, 5, 7, 10, 14, 30, 60, 120, 240], values: labels },
        { ...axis, grid: { stroke: grid, width: 1 }, size: 64, values: (_, ticks) => ticks.map((tick) => this.ticks.format(tick)) },
      ],
      series: [{}, ...order.map((index) => {
        const color = this.color(index);
        const bar = { fill: color, stroke: color, width: 0, paths, points: { show: false } };
        return this.series[index].kind === "bar" ? bar : { stroke: color, width: 2, dash: [6, 4], points: { show: false } };
      })],
      hooks: {
        drawAxes: [(plot) => this.markBuckets(plot, ink, grid)],
        setCursor: [(plot) => this.show(plot.cursor.left >= 0 ? plot.cursor.idx : null)],
      },
    };
  }

  /** Hatches the buckets in which every bar is missing, and marks zeros, which would be invisible, on the axis. */
  markBuckets({ ctx, bbox, valToPos }, ink, grid) {
    const bars = this.series.filter(({ kind, shown }) => kind === "bar" && shown);
    const width = bbox.width / this.labels.length;
    this.labels.forEach((_, at) => {
      const left = valToPos(at - 0.5, "x", true);
      const values = bars.map(({ values }) => values[at]).filter((value) => value !== null);
      if (values.length > 0 && values.every((value) => value === 0)) {
        ctx.fillStyle = ink;
        ctx.fillRect(left + width * 0.1, valToPos(0, "y", true) - 2 * devicePixelRatio, width * 0.8, 2 * devicePixelRatio);
      } else if (values.length === 0 && bars.length > 0) {
        this.hatch(ctx, left, bbox, width, grid);
      }
    });
  }

  hatch(ctx, left, { top, height }, width, color) {
    ctx.save();
    ctx.beginPath();
    ctx.rect(left, top, width, height);
    ctx.clip();
    ctx.strokeStyle = color;
    ctx.lineWidth = devicePixelRatio;
    ctx.beginPath();
    for (let from = left - height - ((left - height) % 12); from < left + width; from += 12) {
      ctx.moveTo(from, top + height);
      ctx.lineTo(from + height, top);
    }
    ctx.stroke();
    ctx.restore();
  }

  /** Moves the cursor to a bucket, or away. */
  select(at) {
    const left = at === null ? -10 : this.plot.valToPos(at, "x");
    this.plot.setCursor({ left, top: at === null ? -10 : 0 });
  }

  /** Shows the figures of a bucket beside it. */
  show(at) {
    this.at = at;
    this.tooltip.hidden = at === null || at === undefined;
    if (this.tooltip.hidden) return;
    this.tooltip.replaceChildren();
    append(this.tooltip, "strong", "", this.labels[at]);
    const shown = this.series.map((series, index) => ({ ...series, index })).filter((series) => series.shown);
    const present = shown.filter(({ values }) => values[at] !== null);
    for (const { name, texts, index } of present) {
      const line = append(this.tooltip, "span", "chart-tooltip-line");
      append(line, "span", this.keys[index].swatch.className);
      append(line, "bdi", "", name);
      append(line, "span", "chart-tooltip-value", texts[at]);
    }
    if (present.length === 0) append(this.tooltip, "span", "", "Nothing recorded");
    const left = this.plot.valToPos(at, "x") + this.plot.bbox.left / devicePixelRatio;
    const room = this.plotArea.clientWidth - this.tooltip.offsetWidth;
    this.tooltip.style.left = `${Math.max(0, left + 12 < room ? left + 12 : left - 12 - this.tooltip.offsetWidth)}px`;
  }

  press(event) {
    const last = this.labels.length - 1;
    const at = this.at ?? null;
    const targets = { ArrowLeft: (at ?? last + 1) - 1, ArrowRight: (at ?? -1) + 1, Home: 0, End: last, Escape: null };
    if (!Object.hasOwn(targets, event.key)) return;
    event.preventDefault();
    const target = targets[event.key];
    this.select(target === null ? null : Math.max(0, Math.min(target, last)));
  }
}

/** Draws the chart of every figure whose table has rows. */
function start() {
  const charts = [...document.querySelectorAll("figure.chart")].flatMap((figure) => {
    const table = document.getElementById(figure.dataset.table);
    if (!table?.tBodies[0]?.rows.length) return [];
    figure.hidden = false;
    return [new Chart(figure, table)];
  });
  // Styles follow a change of the theme with the next frame.
  const redraw = () => requestAnimationFrame(() => charts.forEach((chart) => chart.draw()));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  new MutationObserver(redraw).observe(document.documentElement, { attributeFilter: ["data-theme"] });
}

/** Lets the fields for free times choose the period "From … to …". */
function followTimes(form) {
  const range = form.elements.namedItem("range");
  for (const name of ["from", "to"]) {
    form.elements.namedItem(name)?.addEventListener("change", () => {
      range.value = "custom";
    });
  }
}

document.querySelectorAll("form[data-report]").forEach(followTimes);
start();
