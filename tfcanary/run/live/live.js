// Keeps a page up to date: where the server says that the page has changed, the parts of it that did are replaced.
"use strict";

const { events, revision } = document.currentScript.dataset;
// What the server sent for each part: what a person unfolds in it is no change.
const sent = new WeakMap();
let shown = revision;

function remember(part) {
  sent.set(part, part.outerHTML);
}

function replaced(old, fresh) {
  const open = [...old.querySelectorAll("details")].map((one) => one.open);
  const places = "a, summary";
  const focused = [...old.querySelectorAll(places)].indexOf(document.activeElement);
  remember(fresh);
  fresh.querySelectorAll("details").forEach((one, index) => {
    one.open = open[index] ?? one.open;
  });
  old.replaceWith(fresh);
  fresh.querySelectorAll(places)[focused]?.focus();
}

async function refresh() {
  const answer = await fetch(location.href, { cache: "no-store" });
  if (!answer.ok) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const main = document.querySelector("main");
  const before = [...main.children];
  const after = [...page.querySelector("main").children];
  after.forEach((fresh, index) => {
    if (index >= before.length) {
      remember(fresh);
      main.append(fresh);
    } else if (sent.get(before[index]) !== fresh.outerHTML) {
      replaced(before[index], fresh);
    }
  });
  before.slice(after.length).forEach((old) => old.remove());
  document.title = page.title;
  shown = page.querySelector("script").dataset.revision;
}

function connection(words) {
  document.getElementById("connection").textContent = words;
}

[...document.querySelector("main").children].forEach(remember);
const source = new EventSource(events);
source.onopen = () => connection("Live: the page follows the release.");
source.onerror = () => connection(`Since ${new Date().toLocaleTimeString()} the server does not answer: what is shown may be old.`);
source.onmessage = (event) => {
  if (event.data !== shown) refresh().catch(() => {});
};
