// Without this script the status page reloads as a whole. With it only what has changed is replaced, so that
// neither focus nor place is lost, and a screen reader is told when the sentence at the top becomes another.
"use strict";

const live = document.getElementById("live");

async function refresh() {
  const response = await fetch(location.href, {
    headers: { accept: "text/html" },
    redirect: "error",
    signal: AbortSignal.timeout(10_000),
  });
  const next = new DOMParser().parseFromString(await response.text(), "text/html");
  const said = document.getElementById("said");
  const nowSaid = next.getElementById("said");
  if (nowSaid === null) {
    location.reload(); // the session is over, or there is no database to ask: the whole page says so
    return;
  }
  if (said.innerHTML !== nowSaid.innerHTML) said.innerHTML = nowSaid.innerHTML;
  document.getElementById("stale").hidden = true;
  document.title = next.title;
  replaceCells(live, next.getElementById("live"));
}

function replaceCells(old, fresh) {
  const places = "section, p.refresh time";
  const olds = old.querySelectorAll(places);
  const freshes = fresh.querySelectorAll(places);
  if (olds.length !== freshes.length) {
    location.reload();
    return;
  }
  olds.forEach((one, place) => {
    if (one.innerHTML === freshes[place].innerHTML) return;
    if (!one.contains(document.activeElement)) one.innerHTML = freshes[place].innerHTML;
  });
}

if (live !== null) {
  setInterval(() => {
    if (document.hidden) return;
    refresh().catch(() => {
      document.getElementById("stale").hidden = false; // asked again soon
    });
  }, live.dataset.everyS * 1000);
}
