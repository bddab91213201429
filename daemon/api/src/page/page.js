// A client of the interface as any other. Everything that comes from it is set
// as text, never as markup. `element`, `row` and `time` are used by rollout.js, too.
"use strict";

const TOKEN = "deployd-token";
const REFRESH_MS = 5000;
const RECONNECT_MS = 2000;
const LINES_KEPT = 2000;
const GOOD = ["succeeded"];
const BAD = ["failed", "rolled-back", "needs-operator"];

const at = (id) => document.getElementById(id);
let live = null;

function element(name, text, className) {
  const made = document.createElement(name);
  if (text !== undefined && text !== null) made.textContent = String(text);
  if (className) made.className = className;
  return made;
}

function row(cells) {
  const made = element("tr");
  for (const cell of cells) {
    const td = element("td");
    td.append(cell instanceof Node ? cell : document.createTextNode(cell ?? ""));
    made.append(td);
  }
  return made;
}

function stateOf(record) {
  const word = record.outcome ?? record.phase;
  const kind = GOOD.includes(word) ? "good" : BAD.includes(word) ? "bad" : "";
  return { word, kind };
}

function state(record) {
  const { word, kind } = stateOf(record);
  return element("span", word, "state " + kind);
}

function time(text) {
  if (!text) return "";
  const made = element("time", new Date(text).toLocaleString());
  made.dateTime = text;
  return made;
}

function watchButton(id, label) {
  const button = element("button", label);
  button.type = "button";
  button.addEventListener("click", () => watch(id));
  return button;
}

async function ask(path, options = {}) {
  const token = sessionStorage.getItem(TOKEN);
  const response = await fetch(path, {
    ...options,
    cache: "no-store",
    headers: { ...options.headers, Authorization: "Bearer " + token },
  });
  if (response.ok) return response;
  const problem = await response.json().catch(() => null);
  const error = new Error(problem?.detail ?? "HTTP " + response.status);
  error.status = response.status;
  throw error;
}

const asJson = async (path) => (await ask(path)).json();

function say(text) {
  at("message").textContent = text ?? "";
}

async function refresh() {
  if (!sessionStorage.getItem(TOKEN)) return;
  try {
    const [who, environments, history] = await Promise.all([
      asJson("/v1/whoami"),
      asJson("/v1/environments"),
      asJson("/v1/deployments?limit=20"),
    ]);
    at("who").textContent = who.name + " (" + (who.scope ?? who.issuer) + ")";
    at("environments").replaceChildren(...environments.map((environment) => {
      const { active, deployed, queue } = environment.state;
      const images = element("span");
      for (const [place, image] of environment.images) {
        images.append(element("div", place + "  " + image));
      }
      return row([
        environment.id,
        environment.environmentType,
        images,
        time(deployed?.at),
        active ? watchButton(active.id, "No. " + active.number) : "",
        queue?.length ? String(queue.length) : "",
      ]);
    }));
    at("deployments").replaceChildren(...history.deployments.map((record) => row([
      record.environment,
      String(record.number),
      state(record),
      record.actor,
      time(record.queued),
      record.request.comment ?? record.request.origin.kind,
      watchButton(record.id, "Look"),
    ])));
    at("lists").hidden = false;
    at("forget").hidden = false;
    say("");
  } catch (error) {
    say(error.message);
    if (error.status === 401) forget();
  }
}

function forget() {
  sessionStorage.removeItem(TOKEN);
  stop();
  at("who").textContent = "";
  at("lists").hidden = true;
  at("forget").hidden = true;
}

function stop() {
  live?.abort();
  live = null;
  at("live").hidden = true;
}

function show(update) {
  const { record, logs } = update;
  if (record) {
    at("live-title").textContent = record.environment + ", deployment " + record.number;
    const { word, kind } = stateOf(record);
    at("live-state").textContent = word;
    at("live-state").className = "state " + kind;
    at("live-fault").textContent = record.fault?.message ?? "";
    showRollout(at("rollout"), record.outcome ? null : update.rollout);
    const steps = record.work?.steps ?? [];
    at("live-steps").replaceChildren(...steps.map((step) => {
      const kind = step.status === "succeeded" ? "good" : step.status === "failed" ? "bad" : "";
      // Resources are known to people by name, and to records by uid.
      const item = element("li", (step.name ? "provision " + step.name : step.id) + ": ");
      item.append(element("span", step.status, kind));
      if (step.message) item.append(element("span", " " + step.message, "faint"));
      return item;
    }));
    // What policies refuse is in the fault; what they let through is here.
    const findings = record.work?.policies?.findings ?? [];
    at("live-policies").replaceChildren(...findings.map((one) => {
      const where = [one.subject, one.path].filter(Boolean).join(", ");
      const item = element("li", "");
      item.append(element("span", one.effect, one.effect === "deny" ? "bad" : ""));
      item.append(element("span", " " + one.policy + "/" + one.rule + ": " + one.message));
      item.append(element("span", " " + where, "faint"));
      return item;
    }));
  }
  // Other pods are ready than before.
  if (!record && update.rollout) showRollout(at("rollout"), update.rollout);
  const log = at("live-log");
  for (const line of logs ?? []) {
    const level = line.level === "error" ? "bad" : line.level === "debug" ? "faint" : "";
    log.append(element("div", line.at + "  " + line.step + "  " + line.message, level));
  }
  while (log.childElementCount > LINES_KEPT) log.firstElementChild.remove();
  if (logs?.length) log.scrollTop = log.scrollHeight;
}

// The browser's own EventSource can't send a token.
async function watch(id) {
  stop();
  const mine = new AbortController();
  live = mine;
  at("live-log").replaceChildren();
  at("live-steps").replaceChildren();
  showRollout(at("rollout"), null);
  at("live").hidden = false;
  at("live").scrollIntoView({ behavior: "smooth" });
  const seen = { id: "" };
  while (live === mine && !seen.id.endsWith(".end")) {
    try {
      const response = await ask("/v1/deployments/" + encodeURIComponent(id) + "/events", {
        signal: mine.signal,
        headers: seen.id ? { "Last-Event-ID": seen.id } : {},
      });
      if (response.status === 204) break;
      await read(response.body, seen);
    } catch (error) {
      if (mine.signal.aborted) return;
      say(error.message);
      if (error.status) return;
    }
    await new Promise((resolve) => setTimeout(resolve, RECONNECT_MS));
  }
  refresh();
}

async function read(body, seen) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    rest += value;
    const blocks = rest.split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) take(block, seen);
  }
}

function take(block, seen) {
  let name = "message";
  const data = [];
  for (const line of block.split("\n")) {
    const colon = line.indexOf(":");
    if (colon <= 0) continue;
    const field = line.slice(0, colon);
    const value = line.slice(colon + 1).replace(/^ /, "");
    if (field === "event") name = value;
    else if (field === "data") data.push(value);
    else if (field === "id") seen.id = value;
  }
  if (name === "update") show(JSON.parse(data.join("\n")));
  else if (name === "problem") say(JSON.parse(data.join("\n")).detail);
}

// What people are told links to a deployment: #deployment=ID.
function follow() {
  const id = new URLSearchParams(location.hash.slice(1)).get("deployment");
  if (id && sessionStorage.getItem(TOKEN)) watch(id);
}

at("access").addEventListener("submit", (event) => {
  event.preventDefault();
  const token = at("token").value.trim();
  at("token").value = "";
  if (token) sessionStorage.setItem(TOKEN, token);
  refresh();
  follow();
});
at("forget").addEventListener("click", forget);
at("close").addEventListener("click", stop);
addEventListener("hashchange", follow);
setInterval(() => { if (!document.hidden) refresh(); }, REFRESH_MS);
refresh();
follow();
