// How a rollout stands: tracks with bars, checks with small graphs, what it waits
// for and why. Everything is set as text or as numbers, never as markup.
"use strict";

const SVG = "http://www.w3.org/2000/svg";
const GRAPH_WIDTH = 120;
const GRAPH_HEIGHT = 20;
const WAITS_FOR = {
  decision: "for the strategy to decide",
  cluster: "for the cluster to take it",
  pods: "for pods to be ready",
  time: "for the time to pass",
  checks: "for checks to pass",
  person: "for a person",
  retry: "for the next attempt",
};
const LEFT_IS = { pods: "left until that has failed", checks: "left at least" };
const VERDICTS = { passed: "good", failed: "bad", inconclusive: "bad", error: "bad" };

// In the one unit that says enough.
function roughly(ms) {
  const units = [[86400000, "d"], [3600000, "h"], [60000, "min"], [1000, "s"]];
  const [size, name] = units.find(([size]) => ms >= size) ?? [1000, "s"];
  return Math.floor(ms / size) + " " + name;
}

function drawn(name, attributes) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, String(value));
  return made;
}

// Numbers from their least to their greatest; infinite ones and "NaN" come as
// texts, and are left out.
function graph(points) {
  const svg = drawn("svg", {
    width: GRAPH_WIDTH, height: GRAPH_HEIGHT, viewBox: `0 0 ${GRAPH_WIDTH} ${GRAPH_HEIGHT}`, role: "img",
  });
  const values = points.map((point) => point.value);
  const least = Math.min(...values);
  const range = Math.max(...values) - least;
  const step = GRAPH_WIDTH / Math.max(points.length - 1, 1);
  const place = (point, index) => [
    index * step,
    range > 0 ? GRAPH_HEIGHT * (1 - (point.value - least) / range) : GRAPH_HEIGHT / 2,
  ];
  const line = points.map((point, index) => place(point, index).map((n) => n.toFixed(1)).join(","));
  svg.append(drawn("polyline", { points: line.join(" ") }));
  points.forEach((point, index) => {
    if (index < points.length - 1 && VERDICTS[point.result] !== "bad") return;
    const [cx, cy] = place(point, index);
    svg.append(drawn("circle", { cx, cy, r: 2, class: VERDICTS[point.result] === "bad" ? "bad" : "" }));
  });
  const title = drawn("title", {});
  title.textContent = values.join(", ");
  svg.append(title);
  return svg;
}

// Each value that a check measures, by name, in the order of the newest one.
function series(check) {
  const points = check.points ?? [];
  const newest = points.findLast((point) => point.values?.length)?.values ?? [];
  return newest.map(({ name, unit, value }) => {
    const all = points.flatMap((point) => (point.values ?? [])
      .filter((it) => it.name === name && Number.isFinite(it.value))
      .map((it) => ({ value: it.value, result: point.result })));
    const made = element("div");
    made.append(element("span", name + " ", "faint"));
    if (all.length) made.append(graph(all));
    const shown = Number.isFinite(value) ? Number(value.toPrecision(4)) : value;
    made.append(element("span", " " + shown + (unit ? " " + unit : "")));
    return made;
  });
}

function table(headings, rows) {
  const made = element("table");
  const head = element("thead");
  const cells = element("tr");
  for (const heading of headings) cells.append(element("th", heading));
  head.append(cells);
  const body = element("tbody");
  body.append(...rows);
  made.append(head, body);
  return made;
}

// Ready ones of those wanted; a question mark where the first is not known.
function pods({ ready, replicas }, unknown) {
  if (ready === undefined) return unknown ? element("span", "?/" + replicas, "faint") : String(replicas);
  return element("span", ready + "/" + replicas, ready < replicas ? "bad" : "good");
}

function tracks(workloads, podsUnknown) {
  const rows = workloads.flatMap((workload) => workload.tracks.map((track, index) => {
    const share = element("span");
    const bar = element("progress");
    bar.max = 100;
    bar.value = track.weight;
    share.append(bar, element("span", " " + track.weight + " %"));
    if (track.wanted !== undefined) share.append(element("span", ", " + track.wanted + " % wanted", "faint"));
    const version = element("span", track.version, track.version === "new" ? "good" : "");
    return row([index ? "" : workload.name, track.name, version, pods(track, podsUnknown !== undefined), share]);
  }));
  if (!rows.length) return [];
  const made = [table(["Workload", "Track", "Version", "Pods ready", "Requests"], rows)];
  if (podsUnknown !== undefined) {
    made.push(element("p", "It is not known how many pods are ready: " + podsUnknown, "bad"));
  }
  return made;
}

function traffic(workloads) {
  return workloads.filter((workload) => workload.tracks.length > 1).flatMap((workload) => [
    workload.divided,
    ...(workload.headers ?? []).map((header) =>
      `requests with ${header.name}: ${header.value ?? header.pattern} go to ${header.track}`),
    ...(workload.mirror ? [workload.mirror + " gets a copy of each request"] : []),
  ].map((text) => element("p", workload.name + ": " + text, "faint")));
}

function checks(runs) {
  const shown = runs.findLast((run) => !run.ended) ?? runs.at(-1);
  if (!shown) return [];
  const told = (run) => {
    const about = (run.track ? " on " + run.track : "") + (run.baseline ? ", compared with " + run.baseline : "");
    const made = element("p", "Checks " + run.checks.map((check) => check.name).join(", ") + about + ": ");
    made.append(element("span", run.skipped ? "skipped" : run.verdict, VERDICTS[run.verdict] ?? ""));
    return made;
  };
  const limit = (found, borne) => found + (borne ? ", " + borne + " borne" : "");
  const rows = shown.checks.map((check) => {
    const measured = element("div");
    const graphs = series(check);
    measured.append(...(graphs.length ? graphs : [element("span", check.message)]));
    return row([
      check.name,
      element("span", check.verdict, VERDICTS[check.verdict] ?? ""),
      check.passes + " of " + check.needed,
      limit(check.failures, check.failureLimit),
      limit(check.inconclusives, check.inconclusiveLimit),
      check.nextInMs === undefined ? "" : check.nextInMs < 1000 ? "now" : "in " + roughly(check.nextInMs),
      measured,
    ]);
  });
  const headings = ["Check", "So far", "Passed", "Failed", "Unclear", "Next", "Measured"];
  return [...runs.filter((run) => run !== shown), shown].map(told).concat(table(headings, rows));
}

let leftTimer = null;

// The time that is left gets shorter between two updates.
function left(doing) {
  const made = element("span");
  clearInterval(leftTimer);
  if (doing.leftMs === undefined) return made;
  const until = Date.now() + doing.leftMs;
  const tell = () => {
    const ms = until - Date.now();
    made.textContent = ms > 0 ? ", " + roughly(ms) + " " + (LEFT_IS[doing.waitsFor] ?? "left") : "";
  };
  tell();
  leftTimer = setInterval(tell, 1000);
  return made;
}

function standing(view) {
  const list = element("dl");
  const tell = (name, ...parts) => {
    const told = element("dd");
    told.append(...parts);
    list.append(element("dt", name), told);
  };
  tell("Rollout", view.progress + " %" + (view.strategy ? ", by " + view.strategy.name : ""));
  if (view.held !== undefined) tell("Paused", view.held || "by a person");
  const { doing } = view;
  if (doing) {
    tell("Now", doing.what);
    if (doing.why && !doing.what.includes(doing.why)) tell("Why", doing.why);
    tell("Waits", WAITS_FOR[doing.waitsFor] ?? doing.waitsFor, left(doing));
  }
  return list;
}

function nextCommands(next) {
  return next.map(({ command, does }) => {
    const made = element("p");
    made.append(element("code", command), element("span", " " + does, "faint"));
    return made;
  });
}

// Shows how a rollout stands, or nothing where there is none.
function showRollout(place, view) {
  place.hidden = !view;
  if (!view) {
    clearInterval(leftTimer);
    place.replaceChildren();
    return;
  }
  const workloads = view.workloads ?? [];
  place.replaceChildren(
    standing(view),
    ...tracks(workloads, view.podsUnknown),
    ...traffic(workloads),
    ...checks(view.checks ?? []),
    ...nextCommands(view.next ?? []),
  );
}
