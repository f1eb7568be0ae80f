/* Draws every <canvas data-chart="ID"> from the JSON in the script element ID, with unfold's Chart.js.
   Colours are read from the stylesheet and read again when the theme changes. */
"use strict";

(() => {
  const DASHES = [[], [6, 3], [2, 2], [8, 3, 2, 3]];
  const POINTS = ["circle", "rect", "triangle", "rectRot", "cross", "star", "crossRot", "dash"];
  const drawn = new Map();

  const variable = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  function asNumber(precision) {
    const format = new Intl.NumberFormat("en", { maximumFractionDigits: precision });
    return (value) => (value === null || value === undefined ? "not measured" : format.format(value));
  }

  // A whisker from low to high over each value that has an interval.
  const WHISKERS = {
    id: "whiskers",
    afterDatasetsDraw(chart) {
      const { ctx } = chart;
      chart.data.datasets.forEach((shown, number) => {
        if (!chart.isDatasetVisible(number) || !shown.low?.length) {
          return;
        }
        ctx.save();
        ctx.strokeStyle = chart.config.type === "bar" ? variable("--dash-strong") : shown.borderColor;
        ctx.lineWidth = 1.5;
        ctx.beginPath();
        chart.getDatasetMeta(number).data.forEach(({ x }, place) => {
          if (shown.data[place] === null) {
            return;
          }
          const [low, high] = [shown.low[place], shown.high[place]].map((end) => chart.scales.y.getPixelForValue(end));
          ctx.moveTo(x, low);
          ctx.lineTo(x, high);
          for (const end of [low, high]) {
            ctx.moveTo(x - 4, end);
            ctx.lineTo(x + 4, end);
          }
        });
        ctx.stroke();
        ctx.restore();
      });
    },
  };

  function dataset(series, place, chart) {
    const colour = variable(`--dash-${(place % 8) + 1}`);
    const { values: data, low, high } = series;
    const common = { label: series.name, data, low, high, backgroundColor: colour, borderColor: colour };
    if (chart.kind === "bar") {
      return { ...common, maxBarThickness: 40 };
    }
    const sparse = chart.labels.length <= 40;
    return {
      ...common,
      borderDash: DASHES[place % DASHES.length],
      borderJoinStyle: "round",
      borderWidth: 2,
      pointRadius: sparse ? 3 : 1,
      pointStyle: POINTS[place % POINTS.length],
      spanGaps: false,
    };
  }

  function options(chart) {
    const text = variable("--dash-text");
    const line = variable("--dash-line");
    const format = asNumber(chart.precision);
    const title = (words) => ({ display: Boolean(words), text: words, color: text });
    return {
      animation: false,
      maintainAspectRatio: false,
      responsive: true,
      interaction: { mode: "index", intersect: false },
      plugins: {
        legend: {
          display: chart.series.length > 1,
          position: "bottom",
          labels: { color: text, boxWidth: 10, boxHeight: 10, usePointStyle: chart.kind === "line" },
        },
        tooltip: {
          callbacks: {
            label: ({ dataset: { label, low, high }, dataIndex: place, raw }) => {
              const interval = low?.length && raw !== null ? `(${format(low[place])} to ${format(high[place])}) ` : "";
              return `${label}: ${format(raw)} ${interval}${chart.yTitle}`;
            },
          },
        },
      },
      scales: {
        x: {
          stacked: chart.stacked,
          title: title(chart.xTitle),
          ticks: { color: text, maxRotation: 45, autoSkip: chart.labels.length > 16, autoSkipPadding: 12 },
          grid: { display: false },
          border: { color: line },
        },
        y: {
          beginAtZero: true,
          suggestedMax: Math.max(0, ...chart.series.flatMap(({ high }) => high ?? [])) || undefined,
          stacked: chart.stacked,
          title: title(chart.yTitle),
          ticks: { color: text, maxTicksLimit: 6, callback: (value) => asNumber(3)(value) },
          grid: { color: line },
          border: { display: false },
        },
      },
    };
  }

  function draw(canvas) {
    const chart = JSON.parse(document.getElementById(canvas.dataset.chart).textContent);
    drawn.get(canvas)?.destroy();
    Chart.defaults.font.family = "Inter, sans-serif";
    drawn.set(
      canvas,
      new Chart(canvas, {
        type: chart.kind,
        data: {
          labels: chart.labels,
          datasets: chart.series.map((series, place) => dataset(series, place, chart)),
        },
        options: options(chart),
        plugins: [WHISKERS],
      })
    );
  }

  function drawWithin(root) {
    root.querySelectorAll("canvas[data-chart]").forEach(draw);
  }

  function drawAll() {
    drawWithin(document);
  }

  document.addEventListener("DOMContentLoaded", () => {
    drawAll();
    document.fonts.ready.then(drawAll); // a canvas does not wait for a font
    new MutationObserver(drawAll).observe(document.documentElement, { attributeFilter: ["class"] });
  });
  // Parts of a page that htmx brings hold charts too.
  document.addEventListener("htmx:afterSettle", (event) => {
    for (const [canvas, chart] of drawn) {
      if (!canvas.isConnected) {
        chart.destroy();
        drawn.delete(canvas);
      }
    }
    drawWithin(event.target);
  });
  // A session that ran out answers with the log-in page: that is no part of this one.
  document.addEventListener("htmx:beforeSwap", (event) => {
    if (new URL(event.detail.xhr.responseURL).pathname.endsWith("/login/")) {
      event.detail.shouldSwap = false;
      window.location.reload();
    }
  });
  for (const failed of ["htmx:sendError", "htmx:responseError", "htmx:timeout"]) {
    document.addEventListener(failed, (event) => event.target.setAttribute("data-stale", ""));
  }
  // A definition that covers something goes away with Escape.
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && document.activeElement?.matches(".dash-definition-button")) {
      document.activeElement.blur();
    }
  });
})();
