// The console: one page, no framework. Every text is set as text; the token lives in this script's memory alone.
// This script asks the gateway, signs in and out, and shows how the gateway is. After signing in it loads players.js and,
// where there is a sandbox, sandbox.js.
const REFRESH_MS = 10_000;
const IDLE_MS = 30 * 60_000;
export const DAY = 86_400;

export let state = null; // how the gateway is, while somebody is signed in
let token = null;
let players = null; // the script about players
let sandbox = null; // the script of the sandbox's panel, where there is a sandbox
let ahead = 0; // milliseconds that the gateway's clock is ahead of this browser's
let lastUsed = Date.now();
let session = 0; // one more with each signing out: what was asked before is not shown after it

export const id = (name) => document.getElementById(name);

// ---- Making what is seen.

/** Makes an element; children are elements, texts, and lists of both. */
export function make(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name === "click") element.addEventListener("click", value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null) element.setAttribute(name, value);
  }
  element.append(...children.flat(Infinity));
  return element;
}

export const button = (text, click, attributes) => make("button", { type: "button", click, ...attributes }, text);

export const quiet = (...content) => make("p", { class: "quiet" }, content);

// Roles are said once more: where a narrow page shows rows as blocks, they are no table to a screen reader otherwise.
export function table(titles, rows) {
  return make("table", { role: "table" },
    make("thead", { role: "rowgroup" }, make("tr", { role: "row" }, titles.map((title) => make("th", { role: "columnheader", scope: "col" }, title)))),
    make("tbody", { role: "rowgroup" }, rows.map((row) => make("tr", { role: "row" }, row.map((cell) => make("td", { role: "cell" }, cell))))));
}

/** Makes a place for a long table, which says so while there is more of it below. */
export function scrolling(name, title) {
  const place = make("div", { id: name, class: "scroll", tabindex: "0", role: "region", "aria-labelledby": title });
  const mark = () => place.classList.toggle("cut", place.scrollHeight - place.scrollTop - place.clientHeight > 2);
  place.addEventListener("scroll", mark, { passive: true });
  new ResizeObserver(mark).observe(place);
  new MutationObserver(mark).observe(place, { childList: true });
  return place;
}

/** Writes a message: `kind` is nothing for what was done, "open" for what was done in part, "bad" for what was not. */
function write(place, text, kind) {
  place.className = `message ${kind || "good"}`;
  place.textContent = text;
}

/** Writes a message that answers a click, where it is seen. */
export function tell(place, text, kind) {
  write(place, text, kind);
  if (text) place.scrollIntoView({ block: "nearest" });
}

export const say = (text, kind) => tell(id("message"), text, kind);

// ---- Asking the gateway.

class Refused extends Error {
  constructor(status, body) {
    super(refusalInWords(status, body));
    this.status = status;
    this.code = body.code;
  }
}

const noAnswer = () => new Refused(0, { detail: "The gateway does not answer. Try again in a moment." });

function refusalInWords(status, body) {
  const words = {
    not_authenticated: "The gateway does not know this token. Is it whole? It begins with ogw_.",
    not_permitted: `You may not do that: your token lacks ${(body.detail || "the right").replace("it lacks ", "")}.`,
    unknown_decision: "No refusal with this support code is remembered. Either it is mistyped (compare it letter by letter), or it is "
      + "older than three days, or the player was let in. Ask for the address, the key or the user number instead.",
    unknown_override: "That has ended already, or was taken back.",
    too_many_overrides: "The game has as many overrides as it may have. Take some back first.",
    too_many_questions: "You ask faster than your token may. Wait a second.",
    overloaded: "The gateway has too much to do. Try again in a few seconds.",
    internal_error: "The gateway made a mistake. Tell the operators this number: " + body.request_id,
  };
  return words[body.code] || body.detail || body.title || `The gateway answered with ${status}.`;
}

export async function ask(method, path, body) {
  const headers = {};
  if (token !== null) headers.authorization = `Bearer ${token}`;
  if (body !== undefined) headers["content-type"] = "application/json";
  let response;
  let answer;
  try {
    response = await fetch(path, {
      method, headers, body: body === undefined ? undefined : JSON.stringify(body),
      cache: "no-store", credentials: "omit", redirect: "error", referrerPolicy: "no-referrer",
    });
    answer = response.status === 204 ? null : await response.json();
  } catch {
    throw noAnswer();
  }
  const date = Date.parse(response.headers.get("date"));
  if (!Number.isNaN(date)) ahead = date - Date.now();
  if (response.ok) return answer;
  throw new Refused(response.status, answer);
}

/** Does something that may be refused, and says so in words. A token that is refused is forgotten. */
export async function attempt(work, control, complain = say) {
  const begun = session;
  if (control) control.disabled = true;
  try {
    const done = await work();
    return begun === session ? done : null;
  } catch (refused) {
    if (!(refused instanceof Refused)) throw refused;
    if (refused.status === 401) signOut(refused.message, "bad");
    else if (begun === session) complain(refused.message, "bad");
    return null;
  } finally {
    if (control) control.disabled = false;
  }
}

// ---- Words.

const UNITS = [["day", DAY], ["hour", 3600], ["minute", 60], ["second", 1]];

export function duration(seconds) {
  const [unit, length] = UNITS.find(([, one]) => seconds >= one * (one === 1 ? 0 : 1.5)) || UNITS[3];
  return plural(Math.max(1, Math.round(seconds / length)), unit);
}

export const plural = (count, unit) => `${count} ${unit}${count === 1 ? "" : "s"}`;

export const now = () => Date.now() + ahead;

export const clockOf = (instant) => new Date(instant).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "short" });

function relative(instant) {
  const seconds = (Date.parse(instant) - now()) / 1000;
  if (Math.abs(seconds) < 2) return "just now";
  return seconds < 0 ? `${duration(-seconds)} ago` : `in ${duration(seconds)}`;
}

/** An instant as people say it: date and time of this browser's place, and how far away. It is said anew on the timer. */
export const when = (instant) => saidAnew(make("time", { datetime: instant, "data-says": "when" }));
export const ago = (instant) => saidAnew(make("time", { datetime: instant, "data-says": "ago" }));

function saidAnew(time) {
  const far = relative(time.dateTime);
  time.textContent = time.dataset.says === "ago" ? far : `${clockOf(time.dateTime)} (${far})`;
  return time;
}

const renewTimes = () => document.querySelectorAll("time[data-says]").forEach(saidAnew);

// ---- How the gateway is.

// Of each component its name here, and for each state the look and the word; why stands beside it in a sentence.
const COMPONENTS = {
  source: ["itch.io", {
    ok: ["good", "Answers"], unavailable: ["bad", "Gave no answer"], paused: ["open", "Asks us to wait"], unknown: ["", "Not asked yet"],
  }],
  credential: ["Seller’s key", { ok: ["good", "Accepted"], refused: ["bad", "Was refused"], unknown: ["", "Not tried yet"] }],
  redis: ["Shared memory (Redis)", {
    ok: ["good", "Works"], unavailable: ["open", "Lost"], disabled: ["", "Not used"], unknown: ["", "Not asked yet"],
  }],
  revocations: ["Refunds", { held: ["open", "Not believed"] }],
  secrets: ["Secrets", { differ: ["bad", "Differ"] }],
};

function tile(name, [kind, word], ...more) {
  return make("li", { class: `tile ${kind}` }, make("b", {}, name), make("span", {}, word), more.length > 0 ? make("small", {}, more) : "");
}

function showState() {
  const tiles = [];
  if (state.status !== "ready") {
    const draining = state.status === "draining";
    tiles.push(tile("Gateway", ["open", draining ? "Stopping" : "Starting"], "Look again in a minute."));
  }
  for (const [name, [title, words]] of Object.entries(COMPONENTS)) {
    const said = words[state.components[name]];
    if (said) tiles.push(tile(title, said, ...moreAbout(name)));
  }
  tiles.push(queueTile(state.budget));
  if (state.answers) tiles.push(answersTile(state.answers));
  id("state").replaceChildren(...tiles);
  id("who").textContent = state.caller.name === "local" ? `Version ${state.version}` : `Signed in as ${state.caller.name}`;
  id("sandbox-banner").hidden = !state.sandbox;
}

/** When this was seen last, for itch.io is asked only when a player is; and why it does not work. */
function moreAbout(name) {
  const seen = (name === "source" || name === "credential") && state.source_asked_at;
  const why = state.why[name] || state.sentences[name];
  return [seen ? ["When last asked, ", ago(seen), ". "] : [], why || []].flat();
}

function queueTile({ paused_seconds: paused, waiting }) {
  if (paused > 0) return tile("Queue for itch.io", ["open", "On hold"], `For ${duration(paused)} more.`);
  if (waiting > 0) return tile("Queue for itch.io", ["open", `${waiting} waiting`], "They are asked one after another.");
  return tile("Queue for itch.io", ["good", "Empty"]);
}

const ENOUGH_FOR_PERCENT = 100;
const FEW = 3; // so many without an answer happen on a day on which all is well

function answersTile({ seconds, given, unknown }) {
  const time = `In the last ${duration(Math.max(seconds, 1))}`;
  if (given === 0) return tile("Answers", ["", "None yet"], `${time}, no game server has asked.`);
  if (unknown === 0) return tile("Answers", ["good", "All decided"], `${time}: ${plural(given, "question")}.`);
  const share = (100 * unknown) / given;
  const percent = share < 1 ? "Under 1 %" : `${Math.round(share)} %`;
  const kind = unknown < FEW || share < 5 ? "open" : "bad";
  const word = given < ENOUGH_FOR_PERCENT ? `${unknown} of ${given}` : percent;
  return tile("Answers", [kind, `${word} not decided`], `${time}: ${unknown} of ${plural(given, "question")}.`);
}

export async function refresh() {
  const begun = session;
  const answer = await ask("GET", "/admin/state");
  if (begun !== session) return;
  state = answer;
  showState();
}

let complaint = null; // the message that the timer has left

function complain(text) {
  complaint = text;
  write(id("message"), text, "bad");
}

/** Refreshes on the timer; its own complaint goes with the first success, and no other message does. */
async function renew() {
  renewTimes();
  const before = complaint;
  complaint = null;
  await attempt(refresh, null, complain);
  if (complaint !== null || state === null) return;
  if (before !== null && before === id("message").textContent) say("");
  if (sandbox !== null) await attempt(sandbox.renewWhatMoves, null, complain);
}

// ---- Signing in and out.

function signOut(text, kind) {
  session += 1;
  token = state = sandbox = null;
  players?.forgetResult();
  id("sandbox")?.remove();
  id("token").value = "";
  id("pasted").value = "";
  document.querySelectorAll("dialog").forEach((dialog) => dialog.close());
  for (const name of ["state", "overrides", "game"]) id(name).replaceChildren();
  for (const name of ["asking", "signed-in", "sandbox-banner", "sign-out"]) id(name).hidden = true;
  id("who").textContent = "";
  id("sign-in").hidden = false;
  say(text || "", kind);
  id("token").focus();
}

async function enter() {
  const begun = session;
  await refresh();
  players = await load("/console/players.js");
  if (begun !== session) return;
  id("sign-in").hidden = true;
  for (const name of ["asking", "signed-in"]) id(name).hidden = false;
  id("sign-out").hidden = token === null;
  say("");
  const world = await ownWorld();
  if (begun !== session) return;
  showGames(world ? world.games : []);
  await players.showOverrides();
  if (world) await enterSandbox();
  if (begun === session) id("pasted").focus();
}

/** Goes back to the sign-in, because entering was refused. */
function leave(refused) {
  if (!(refused instanceof Refused)) throw refused;
  signOut(refused.message, "bad");
}

async function enterSandbox() {
  const begun = session;
  const script = await load("/console/sandbox.js");
  if (begun !== session) return;
  sandbox = script;
  await sandbox.openSandbox();
}

async function load(script) {
  try {
    return await import(script);
  } catch {
    throw noAnswer();
  }
}

/** Shows the panel of the sandbox as the sandbox is now, where there is one. */
export async function renewSandbox() {
  if (sandbox !== null) await attempt(sandbox.showSandbox);
}

/** The world of this gateway's sandbox; null where another program is the sandbox, or there is none. */
async function ownWorld() {
  if (!state.sandbox) return null;
  try {
    return await ask("GET", "/sandbox/world");
  } catch {
    return null;
  }
}

function showGames(others) {
  const games = state.games.length > 0 ? state.games : others;
  const select = id("game");
  select.replaceChildren(...games.map((game) => make("option", { value: game.id }, game.title || game.slug)));
  select.hidden = games.length === 0;
  id("game-number").hidden = games.length > 0;
}

// ---- The page.

id("sign-in-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  token = id("token").value.trim();
  id("token").value = "";
  try {
    await enter();
  } catch (refused) {
    leave(refused);
  }
});
id("sign-out").addEventListener("click", () => signOut("You are signed out."));
for (const kind of ["pointerdown", "keydown"]) addEventListener(kind, () => { lastUsed = Date.now(); }, { passive: true });
// A page that the browser keeps for "back" would keep the token, too.
addEventListener("pagehide", () => { if (token !== null) signOut(); });

setInterval(() => {
  if (token !== null && Date.now() - lastUsed > IDLE_MS) signOut("You were signed out, because you did nothing for half an hour.");
  else if (state !== null && !document.hidden) renew();
}, REFRESH_MS);

// A gateway without configured callers, as the sandbox, asks for no token.
enter().catch((refused) => (refused.status === 401 ? signOut() : leave(refused)));
