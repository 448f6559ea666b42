// Keeps the page up to date. It makes no HTML: it sets text, classes and attributes from fixed lists.
// What it gets: {title, kind, said, at, parts: [[key, tag, attributes, children], …]}; see nodes.py.
const SVG = new Set(["svg", "rect", "line", "polyline", "polygon", "circle", "text"]);
const TAGS = new Set([...SVG, "a", "b", "button", "code", "dd", "details", "div", "dl", "dt", "h1", "h2", "li", "main",
  "ol", "p", "pre", "progress", "section", "small", "span", "summary", "table", "tbody", "td", "th", "thead", "time", "tr", "ul"]);
const ATTRIBUTES = new Set(["aria-hidden", "aria-label", "aria-labelledby", "class", "cx", "cy", "data-at", "data-copy",
  "data-f", "data-form", "data-hold", "data-l", "datetime", "height", "href", "id", "max", "points", "preserveAspectRatio", "r",
  "rel", "role", "rx", "scope", "tabindex", "text-anchor", "title", "type", "value", "vector-effect", "viewBox", "width", "x", "x1",
  "x2", "y", "y1", "y2"]);
const OURS = new Set(["hidden", "open", "data-k"]);  // set by the reader or by us, never taken away by a patch
const RETRY = [1, 2, 5, 10], STALE = 10, POLL = 10, QUIET = 30;
const $ = (id) => document.getElementById(id);
const body = document.body, keyed = new Map(), held = new Map();
let skew = Date.now() / 1000 - Number(body.dataset.now), heard = Date.now(), fails = 0;
let kind = body.dataset.kind, since = null, saidAt = 0, source = null, timer = 0, hiding = 0, mode = "live", pausedAt = "";

// -- Numbers that go on: the same words as formats.py ------------------------------------------------
export function age(seconds) {
  seconds = Math.floor(Math.max(0, seconds));
  if (seconds < 60) return `${seconds} s`;
  const [large, small, name, rest] = seconds >= 86400 - 1800 ? [86400, 3600, "d", "h"]
    : seconds >= 3600 - 30 ? [3600, 60, "h", "m"] : [60, 1, "m", "s"];
  const parts = Math.floor(seconds / small + 0.5), per = large / small, over = parts % per;
  return over ? `${Math.floor(parts / per)} ${name} ${over} ${rest}` : `${parts / per} ${name}`;
}
export function moving(form, at, now) {
  const past = form === "ago" ? now - at : at - now;
  if (past < 1) return form === "ago" ? "just now" : "now";
  return form === "ago" ? `${age(past)} ago` : `in ${age(past)}`;
}
function goOn(time) {
  const text = moving(time.dataset.form, Number(time.dataset.at), Date.now() / 1000 - skew);
  if (time.textContent !== text) time.textContent = text;
}

// -- Patches -----------------------------------------------------------------------------------------
function isSafe(name, value) {
  return name !== "href" || /^(\?|\.\/$|metrics$|#|https?:\/\/)/.test(value);
}
function dress(element, attributes) {
  for (const { name } of [...element.attributes])
    if (!(name in attributes) && !OURS.has(name)) element.removeAttribute(name);
  for (const [name, value] of Object.entries(attributes))
    if (ATTRIBUTES.has(name) && isSafe(name, value) && element.getAttribute(name) !== value)
      element.setAttribute(name, value);
}
function make(tag) {
  if (!TAGS.has(tag)) tag = "span";
  return SVG.has(tag) ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
}
function build(child, news) {
  if (typeof child === "string") return document.createTextNode(child);
  if (!Array.isArray(child)) return keyed.get(child.k) ?? create(news.get(child.k), news);
  const [tag, attributes, children] = child, element = make(tag);
  dress(element, attributes);
  element.append(...children.map((one) => build(one, news)));
  if (element.dataset.at) goOn(element);
  return element;
}
function create([key, tag, attributes, children], news) {
  const element = make(tag);
  element.dataset.k = key;
  keyed.set(key, element);
  if ("open" in attributes) element.open = true;
  dress(element, attributes);
  element.append(...children.map((one) => build(one, news)));
  return element;
}
function fill(element, children, news) {
  const nodes = children.map((one) => build(one, news)), wanted = new Set(nodes);
  for (const node of [...element.childNodes]) if (!wanted.has(node)) node.remove();
  nodes.forEach((node, at) => {
    if (element.childNodes[at] !== node) element.insertBefore(node, element.childNodes[at] ?? null);
  });
}
function isSame(element, children) {
  const nodes = [...element.childNodes];
  return nodes.length === children.length && nodes.every((node, at) => typeof children[at] === "string"
    ? node.nodeType === Node.TEXT_NODE && node.data === children[at] : node.dataset?.k !== undefined && node.dataset.k === children[at].k);
}
function apply(parts) {
  const news = new Map(parts.map((part) => [part[0], part])), known = [...news.keys()].filter((key) => keyed.has(key));
  for (const key of known) {
    const element = keyed.get(key), [, , attributes, children] = news.get(key);
    dress(element, attributes);
    if (isSame(element, children)) continue;
    if (element.dataset.hold && element.matches(":hover") && !held.get(element)?.go) hold(element, children, news);
    else { held.delete(element); fill(element, children, news); }
  }
  forget();
  for (const time of document.querySelectorAll("time[data-at]")) goOn(time);
  filter();
}
function forget() {
  for (const [key, element] of keyed) if (!element.isConnected && !isHeld(element)) keyed.delete(key);
}
// Rows do not move under a pointer: what would change them waits until it is gone, or for a click.
function hold(element, children, news) {
  const before = held.get(element)?.news ?? new Map();
  for (const [key, part] of news) before.set(key, part);
  held.set(element, { children, news: before });
  const fresh = children.filter((one) => one.k && !keyed.get(one.k)?.isConnected).length;
  let button = element.closest("section").querySelector("button.new");
  if (!button) {
    button = make("button");
    button.type = "button";
    button.className = "small new";
    button.addEventListener("click", () => release(element));
    element.closest("section").querySelector(".head").append(button);
  }
  button.textContent = fresh ? `${fresh} new` : "changed";
}
function isHeld(element) {
  return [...held.values()].some(({ children }) => children.some((one) => one.k === element.dataset.k));
}
function release(element) {
  const waiting = held.get(element);
  element.closest("section")?.querySelector("button.new")?.remove();
  held.delete(element);
  if (waiting && element.isConnected) fill(element, waiting.children, waiting.news);
  forget();
  filter();
}

// -- The line ----------------------------------------------------------------------------------------
function take(message) {
  skew = Date.now() / 1000 - message.at;
  heard = Date.now();
  fails = 0;
  document.title = message.title;
  if (message.kind !== kind && heard - saidAt > QUIET * 1000) { $("said").textContent = message.said; saidAt = heard; }
  [kind, since] = [message.kind, message.since];
  apply(message.parts);
  show();
}
function listen() {
  stop();
  source = new EventSource(`./live${location.search}`);
  source.onmessage = ({ data }) => { mode = "live"; take(JSON.parse(data)); };
  source.onerror = () => { stop(); ask(); };
}
// The stream says nothing of why it failed: where the same is had once, it was full; else there is nobody.
async function ask() {
  try {
    const answer = await fetch(`./state${location.search}`, { cache: "no-store" });
    if (!answer.ok) throw new Error(String(answer.status));
    if (mode === "paused") return;
    const lost = fails > 0;
    take(await answer.json());
    mode = lost ? "live" : "poll";
    timer = setTimeout(listen, lost ? 0 : POLL * 1000);
  } catch {
    if (mode === "paused") return;
    mode = "lost";
    timer = setTimeout(fails < 2 ? ask : listen, RETRY[Math.min(fails, RETRY.length - 1)] * 1000);
    fails += 1;
  }
  show();
}
function stop() {
  clearTimeout(timer);
  if (source) source.onerror = source.onmessage = null;
  source?.close();
  source = null;
}
const WORDS = { down: "Redis down", replay: "Catching up" };
function show() {
  const seconds = (Date.now() - heard) / 1000, lost = mode === "lost";
  let word = WORDS[kind] ?? "Live", rest = seconds < 2 ? "now" : `${age(seconds)} ago`;
  if (since) rest = age(Date.now() / 1000 - skew - since);
  if (lost) [word, rest] = ["Reconnecting", age(seconds)];
  if (mode === "poll") [word, rest] = ["Every 10 s", ""];
  if (mode === "paused") [word, rest] = ["Paused", pausedAt];
  const long = make("span");
  long.className = "long";
  long.textContent = rest && ` · ${rest}`;
  $("live").replaceChildren(word, long);
  $("pulse").className = word === "Live" ? "pulse" : "pulse off";
  body.classList.toggle("stale", lost && seconds > STALE);
}
function pause() {
  const paused = mode !== "paused";
  $("pause").setAttribute("aria-pressed", String(paused));
  $("pause").textContent = paused ? "Resume" : "Pause";
  mode = paused ? "paused" : "live";
  pausedAt = new Date().toISOString().slice(11, 19) + " UTC";
  if (paused) stop(); else listen();
  show();
}

// -- The reader --------------------------------------------------------------------------------------
function filter() {
  const wanted = $("find").value.trim().toLowerCase();
  for (const row of document.querySelectorAll("[data-f]")) row.hidden = !row.dataset.f.includes(wanted);
}
let typing = 0;
$("find").addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(() => {
    filter();
    const at = new URL(location.href);
    if ($("find").value) at.searchParams.set("f", $("find").value); else at.searchParams.delete("f");
    history.replaceState(null, "", at.search || "./");
  }, 150);
});
document.querySelector("form.search").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = $("find").value.trim();
  if (/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(text)) location.search = `?task=${text.toLowerCase()}`;
});
$("pause").addEventListener("click", pause);
document.addEventListener("keydown", (event) => {
  const typingNow = event.target.closest("input, textarea, select");
  if (event.key === "Escape" && typingNow) { $("find").value = ""; $("find").dispatchEvent(new Event("input")); $("find").blur(); }
  if (typingNow || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "/") { event.preventDefault(); $("find").focus(); }
  if (event.key === "p") pause();
});
document.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-copy]");
  if (button) copy(button, button.dataset.copy || location.href);
});
async function copy(button, text) {
  const words = button.textContent;
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = words; }, 1500);
  } catch {  // no secure context: let the reader copy
    const field = make("span").ownerDocument.createElement("input");
    field.className = "copied";
    field.readOnly = true;
    field.value = text;
    field.setAttribute("aria-label", words);
    button.after(field);
    field.select();
    field.addEventListener("blur", () => field.remove());
  }
}
document.addEventListener("mouseout", () => {
  for (const element of [...held.keys()]) if (!element.matches(":hover")) release(element);
});
document.addEventListener("visibilitychange", () => {
  clearTimeout(hiding);
  if (mode === "paused") return;
  if (document.hidden) hiding = setTimeout(stop, 5000);
  else if (!source) { fails = 0; listen(); }
});

document.documentElement.classList.add("js");
for (const element of document.querySelectorAll("[data-k]")) keyed.set(element.dataset.k, element);
filter();
if (body.dataset.live === "on") {
  setInterval(() => { for (const time of document.querySelectorAll("time[data-at]")) if (mode !== "paused") goOn(time); show(); }, 1000);
  listen();
  show();
}
