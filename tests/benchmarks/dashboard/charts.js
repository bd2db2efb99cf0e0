// What each library does with the same lines, and how long it takes until the picture is complete.
async ({name, times, large, thinned, live}) => {
  const noise = n => { const x = Math.sin(n * 12.9898) * 43758.5453; return x - Math.floor(x); };
  const curve = (count, from = 0, every = 1) => {
    const x = [], y = [];
    for (let n = 0; n < count; n += 1) { const s = from + n * every; x.push(s); y.push((0.5 + 8 * Math.exp(-s / 2e5)) * (0.9 + 0.2 * noise(s))); }
    return { x, y };
  };
  const host = (width, height) => {
    const node = document.createElement("div");
    node.style.cssText = `width:${width}px;height:${height}px`;
    document.body.append(node);
    return node;
  };
  // Reading a pixel back waits for everything that was drawn before it.
  const complete = async node => {
    await new Promise(done => requestAnimationFrame(() => setTimeout(done)));
    for (const canvas of node.querySelectorAll("canvas")) canvas.getContext("2d").getImageData(0, 0, 1, 1);
    for (const svg of node.querySelectorAll("svg")) svg.getBoundingClientRect();
  };
  const ways = {
    "own charts": async (node, { x, y }) => {
      const [{ Chart }, { Axis }] = await Promise.all([import("/own/chart/chart.js"), import("/own/chart/axis.js")]);
      const axis = new Axis(), chart = new Chart(axis, { title: "loss", height: parseInt(node.style.height) - 40 });
      node.append(chart.node);
      const show = line => { axis.setAll(line.x[0], line.x.at(-1)); chart.show({ lines: [{ ...line, name: "loss", colour: "series-1" }] }); };
      show({ x, y });
      return { zoom: (a, b) => axis.look([a, b]), show, close: () => chart.close() };
    },
    "uPlot": async (node, { x, y }) => {
      const plot = new uPlot({ width: parseInt(node.style.width), height: parseInt(node.style.height) - 40, scales: { x: { time: false } }, series: [{}, { stroke: "blue", width: 1.6 }] }, [x, y], node);
      return { zoom: (min, max) => plot.setScale("x", { min, max }), show: line => plot.setData([line.x, line.y]), close: () => plot.destroy() };
    },
    "dygraphs": async (node, { x, y }) => {
      const rows = line => line.x.map((step, n) => [step, line.y[n]]);
      const plot = new Dygraph(node, rows({ x, y }), { labels: ["step", "loss"], strokeWidth: 1.6 });
      return { zoom: (min, max) => plot.updateOptions({ dateWindow: [min, max] }), show: line => plot.updateOptions({ file: rows(line) }), close: () => plot.destroy() };
    },
    "plotly.js (basic)": async (node, { x, y }) => {
      const traces = line => [{ x: line.x, y: line.y, mode: "lines", line: { width: 1.6 } }];
      await Plotly.newPlot(node, traces({ x, y }), { margin: { t: 20 } });
      return { zoom: (a, b) => Plotly.relayout(node, { "xaxis.range": [a, b] }), show: line => Plotly.react(node, traces(line), { margin: { t: 20 } }), close: () => Plotly.purge(node) };
    },
  };
  const timed = async work => { const began = performance.now(); await work(); return performance.now() - began; };
  const million = curve(large), few = curve(thinned, 0, large / thinned);
  const least = { million: [], zoom: [], thinned: [], live: [] };
  for (let round = 0; round < times; round += 1) {
    for (const [what, line] of [["million", million], ["thinned", few]]) {
      const node = host(1000, 380);
      let plot;
      least[what].push(await timed(async () => { plot = await ways[name](node, line); await complete(node); }));
      if (what === "million") least.zoom.push(await timed(async () => { await plot.zoom(large * 0.4, large * 0.6); await complete(node); }));
      plot.close();
      node.remove();
    }
  }
  const charts = [];
  for (let n = 0; n < live; n += 1) { const node = host(480, 180); charts.push([node, await ways[name](node, curve(1200))]); }
  for (let round = 1; round <= times; round += 1) {
    const line = curve(1200, round);
    least.live.push(await timed(async () => {
      await Promise.all(charts.map(([, plot]) => plot.show(line)));
      await complete(document);
    }));
  }
  return Object.fromEntries(Object.entries(least).map(([what, found]) => [what, Math.min(...found)]));
}
