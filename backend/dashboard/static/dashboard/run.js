/* Follows a training until it ends: asks for its state every second, and for the rest of the page when
   that has something new. Says so when nobody answers, and goes on asking. */
"use strict";

(() => {
  const EVERY_MS = 1000;
  const HIDDEN_EVERY_MS = 5000;
  const LOST_EVERY_MS = 3000;
  const PATIENCE_MS = 5000;

  const card = document.getElementById("run");
  const find = (name) => document.querySelector(`[data-shows="${name}"]`);
  let heardAt = new Date();

  function write(name, text) {
    const element = find(name);
    if (element && element.textContent !== text) {
      element.textContent = text;
    }
  }

  function writeLog(text) {
    const log = find("log");
    const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 20;
    write("log", text || "Nothing was written yet.");
    if (atEnd) {
      log.scrollTop = log.scrollHeight;
    }
  }

  function show(state) {
    const bar = card.querySelector("[role=progressbar]");
    bar.setAttribute("aria-valuenow", state.percent);
    bar.firstElementChild.style.width = `${state.percent}%`;
    bar.firstElementChild.dataset.status = state.status;
    const status = find("status").querySelector(".tool-status");
    if (status.dataset.status !== state.status) {
      status.dataset.status = state.status;
      status.textContent = state.status_text;
    }
    write("percent", `${Math.round(state.percent)} %`);
    write("stage", state.stage);
    write("took", state.took || "not started");
    write("left", state.left || "-");
    write("process", state.process || "-");
    write("log_file", state.log_file || "-");
    write("silent", state.silent);
    card.querySelector("[data-silent]").hidden = !state.silent;
    write("reason", state.reason);
    find("reason").hidden = !state.reason;
    find("reason").dataset.status = state.status;
    writeLog(state.log);
    if (!state.may_be_cancelled) {
      card.querySelector("[data-cancel]")?.remove();
    }
    const outcome = document.getElementById("outcome");
    if (outcome.dataset.outcome !== state.outcome) {
      htmx.ajax("GET", location.href, { target: "#outcome", select: "#outcome", swap: "outerHTML" });
    }
  }

  function lost(isLost) {
    card.querySelector("[data-lost]").hidden = !isLost;
    write("heard", heardAt.toLocaleTimeString());
  }

  async function follow() {
    let wait = document.hidden ? HIDDEN_EVERY_MS : EVERY_MS;
    try {
      const answer = await fetch(card.dataset.state, {
        headers: { Accept: "application/json" },
        signal: AbortSignal.timeout(PATIENCE_MS),
      });
      if (!answer.ok || answer.redirected) {
        throw new Error(`status ${answer.status}`);
      }
      const state = await answer.json();
      heardAt = new Date();
      lost(false);
      show(state);
      if (state.is_finished) {
        return;
      }
    } catch {
      lost(true);
      wait = LOST_EVERY_MS;
    }
    setTimeout(follow, wait);
  }

  const log = find("log");
  log.scrollTop = log.scrollHeight;
  follow();
})();
