// What the link of a message approves: shown first, and decided by a button. The link
// is what comes after `#`, which no browser sends to a server by itself.
"use strict";

const $ = (id) => document.getElementById(id);
const link = location.hash.slice(1);

function say(text) {
  $("message").textContent = text;
}

function item(list, text) {
  const line = document.createElement("li");
  line.textContent = text;
  list.append(line);
}

async function ask(path, body) {
  const answer = await fetch(path, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  const found = await answer.json();
  if (!answer.ok) throw new Error(found.detail || found.title || `HTTP ${answer.status}`);
  return found;
}

// What a plan changes of the set that runs, a line each.
function changes(plan) {
  const list = $("changes");
  const { workloads = {}, resources = {} } = plan.previous?.delta ?? {};
  for (const { add = {}, update = {}, remove = [] } of [workloads, resources]) {
    for (const name of Object.keys(add)) item(list, `+ ${name}`);
    for (const [name, patch] of Object.entries(update)) {
      for (const { op, path, value } of patch) {
        const gone = op === "remove";
        item(list, gone ? `- ${name}${path}` : `~ ${name}${path} = ${JSON.stringify(value)}`);
      }
    }
    for (const name of remove) item(list, `- ${name}`);
  }
  if (!plan.previous) item(list, "nothing runs there yet");
  for (const planned of Object.values(plan.resources ?? {})) {
    if (planned.action !== "none") item(list, `${planned.driver.name}: ${planned.action}`);
  }
  if (!list.children.length) item(list, "nothing of the set");
}

function show(found) {
  $("title").textContent = `${found.environment} #${found.number}`;
  $("who").textContent = `You approve as ${found.approver}.`;
  const facts = $("facts");
  item(facts, `asked for by ${found.requester}${found.comment ? `: ${found.comment}` : ""}`);
  item(facts, `set ${found.content.set}`);
  item(facts, `plan ${found.plan}`);
  for (const gate of found.gates) {
    const by = (gate.given ?? []).map((one) => one.by).join(", ");
    item(facts, `${gate.rule.name}: ${gate.missing} missing${by ? `, given by ${by}` : ""}`);
  }
  changes(found.content);
  if (found.changed) {
    $("since").hidden = false;
    $("patch").textContent = JSON.stringify(found.changed.patch, null, 2);
  }
  $("plan").textContent = JSON.stringify(found.content, null, 2);
  $("asked").hidden = false;
  if (found.notYours) {
    $("decide").hidden = true;
    say(`You can't approve this: ${found.notYours}`);
  } else {
    say("");
  }
}

$("decide").addEventListener("submit", async (event) => {
  event.preventDefault();
  const decision = event.submitter.value;
  const reason = $("reason").value.trim() || undefined;
  try {
    await ask("/v1/approval-links/use", { link, decision, reason });
    $("decide").hidden = true;
    say(decision === "approve" ? "Approved." : "Refused.");
  } catch (error) {
    say(error.message);
  }
});

(async () => {
  if (!link) return say("There is no link here; open it from the message.");
  try {
    show(await ask("/v1/approval-links/look", { link }));
  } catch (error) {
    say(error.message);
  }
})();
