// The console: one page, no framework. Every text is set as text; the token lives in this script's memory alone.
const REFRESH_MS = 10_000;
const IDLE_MS = 30 * 60_000;
const DAY = 86_400;

let token = null;
let state = null;
let looked = null; // what the result on the page is about
let ahead = 0; // milliseconds that the gateway's clock is ahead of this browser's
let lastUsed = Date.now();
let session = 0; // one more with each signing out: what was asked before is not shown after it

const id = (name) => document.getElementById(name);

/** Makes an element; children are elements, texts, and lists of both. */
function make(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name === "click") element.addEventListener("click", value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null) element.setAttribute(name, value);
  }
  element.append(...children.flat(Infinity));
  return element;
}

const button = (text, click, attributes) => make("button", { type: "button", click, ...attributes }, text);

function say(text, bad) {
  const message = id("message");
  message.classList.toggle("bad", Boolean(bad));
  message.textContent = text;
}

// ---- Asking the gateway.

class Refused extends Error {
  constructor(status, body) {
    super(refusalInWords(status, body));
    this.status = status;
    this.code = body.code;
  }
}

function refusalInWords(status, body) {
  const words = {
    not_authenticated: "The gateway does not know this token. Is it whole? It begins with ogw_.",
    not_permitted: `You may not do that: your token lacks ${(body.detail || "the right").replace("it lacks ", "")}.`,
    unknown_decision: "No refusal with this support code is remembered. They are kept for three days.",
    unknown_override: "That has ended already, or was taken back.",
    too_many_overrides: "The game has as many overrides as it may have. Take some back first.",
    too_many_questions: "You ask faster than your token may. Wait a second.",
    overloaded: "The gateway has too much to do. Try again in a few seconds.",
    internal_error: "The gateway made a mistake. Tell the operator this number: " + body.request_id,
  };
  return words[body.code] || body.detail || body.title || `The gateway answered with ${status}.`;
}

async function ask(method, path, body) {
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
    throw new Refused(0, { detail: "The gateway does not answer. Try again in a moment." });
  }
  const date = Date.parse(response.headers.get("date"));
  if (!Number.isNaN(date)) ahead = date - Date.now();
  if (response.ok) return answer;
  throw new Refused(response.status, answer);
}

/** Does something that may be refused, and says so in words. A token that is refused is forgotten. */
async function attempt(work, control) {
  const begun = session;
  if (control) control.disabled = true;
  try {
    const done = await work();
    return begun === session ? done : null;
  } catch (refused) {
    if (!(refused instanceof Refused)) throw refused;
    if (refused.status === 401) signOut();
    say(refused.message, true);
    return null;
  } finally {
    if (control) control.disabled = false;
  }
}

// ---- Words.

const UNITS = [["day", DAY], ["hour", 3600], ["minute", 60], ["second", 1]];

function duration(seconds) {
  const [unit, length] = UNITS.find(([, one]) => seconds >= one * (one === 1 ? 0 : 1.5)) || UNITS[3];
  return plural(Math.max(1, Math.round(seconds / length)), unit);
}

const plural = (count, unit) => `${count} ${unit}${count === 1 ? "" : "s"}`;

const now = () => Date.now() + ahead;

const dateOf = (instant) => new Date(instant).toLocaleDateString("en-GB", { dateStyle: "medium" });
const clockOf = (instant) => new Date(instant).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "short" });

/** An instant as people say it, with the date and time of this browser's place. */
function when(instant) {
  const seconds = (Date.parse(instant) - now()) / 1000;
  const said = Math.abs(seconds) < 2 ? "just now" : seconds < 0 ? `${duration(-seconds)} ago` : `in ${duration(seconds)}`;
  return make("time", { datetime: instant }, `${clockOf(instant)} (${said})`);
}

// Of each component its name here, and for each state the look and the word; why stands beside it in a sentence.
const COMPONENTS = {
  source: ["itch.io", {
    ok: ["good", "Answers"], unavailable: ["bad", "Gives no answer"], paused: ["open", "Asks us to wait"],
    unknown: ["", "Not asked yet"],
  }],
  credential: ["Seller’s key", { ok: ["good", "Accepted"], refused: ["bad", "Refused"], unknown: ["", "Not tried yet"] }],
  redis: ["Memory of all (Redis)", {
    ok: ["good", "Works"], unavailable: ["open", "Lost"], disabled: ["", "Not used"], unknown: ["", "Not asked yet"],
  }],
  revocations: ["Refunds", { held: ["open", "Not believed"] }],
  secrets: ["Secrets", { differ: ["bad", "Differ"] }],
};

// ---- How the gateway is.

function tile(name, [kind, word], more) {
  return make("li", { class: `tile ${kind}` }, make("b", {}, name), make("span", {}, word), more ? make("small", {}, more) : "");
}

/** The part of a sentence that says why, if it says that; the word of the tile says the rest. */
function causeIn(sentence) {
  const why = (sentence || "").split(": ").pop();
  return why.startsWith("itch.io") ? why : why.slice(0, 1).toUpperCase() + why.slice(1);
}

function showState() {
  const tiles = [];
  if (state.status !== "ready") {
    const draining = state.status === "draining";
    tiles.push(tile("Gateway", ["open", draining ? "Stopping" : "Starting"], "Look again in a minute."));
  }
  for (const [name, [title, words]] of Object.entries(COMPONENTS)) {
    const said = words[state.components[name]];
    if (said) tiles.push(tile(title, said, causeIn(state.sentences[name])));
  }
  tiles.push(budgetTile(state.budget));
  if (state.answers) tiles.push(answersTile(state.answers));
  id("state").replaceChildren(...tiles);
  id("who").textContent = state.caller.name === "local" ? `Version ${state.version}` : `Signed in as ${state.caller.name}`;
  id("sandbox-banner").hidden = !state.sandbox;
}

function budgetTile({ paused_seconds: paused, waiting }) {
  if (paused > 0) return tile("Questions to itch.io", ["open", "On hold"], `For ${duration(paused)} more.`);
  if (waiting > 0) return tile("Questions to itch.io", ["open", `${waiting} waiting`], "They are asked one after another.");
  return tile("Questions to itch.io", ["good", "None waiting"]);
}

function answersTile({ seconds, given, unknown }) {
  const time = `In the last ${duration(Math.max(seconds, 1))}`;
  if (given === 0) return tile("Answers", ["", "None yet"], `${time}, no game server has asked.`);
  const share = (100 * unknown) / given;
  const percent = unknown === 0 ? "All decided" : share < 1 ? "Under 1 % undecided" : `${Math.round(share)} % undecided`;
  const kind = unknown === 0 ? "good" : share < 5 ? "open" : "bad";
  return tile("Answers", [kind, percent], `${time}: ${unknown ? `${unknown} of ` : ""}${plural(given, "question")}.`);
}

async function refresh() {
  const begun = session;
  const answer = await ask("GET", "/admin/state");
  if (begun !== session) return;
  state = answer;
  showState();
}

let complaint = null; // the message that the timer has left

/** Refreshes on the timer; its own complaint goes with the first success, and no other message does. */
async function renew() {
  const failed = (await attempt(refresh)) === null;
  const shown = id("message").textContent;
  if (!failed && complaint === shown) say("");
  complaint = failed ? shown : null;
}

// ---- Signing in and out.

function signOut(text) {
  session += 1;
  token = state = looked = null;
  id("token").value = "";
  id("pasted").value = "";
  for (const name of ["state", "result", "overrides", "world", "requests", "game"]) id(name).replaceChildren();
  for (const name of ["signed-in", "result", "sandbox", "sandbox-banner", "sign-out"]) id(name).hidden = true;
  id("who").textContent = "";
  id("sign-in").hidden = false;
  say(text || "");
  id("token").focus();
}

async function enter() {
  await refresh();
  id("sign-in").hidden = true;
  id("signed-in").hidden = false;
  id("sign-out").hidden = token === null;
  say("");
  const sandbox = await ownSandbox();
  showGames(sandbox ? sandbox.games : []);
  await showOverrides();
  if (sandbox) await showSandbox();
  id("pasted").focus();
}

/** The sandbox of this gateway; null where another program is the sandbox, or there is none. */
async function ownSandbox() {
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

function chosenGame() {
  const number = id("game").hidden ? id("game-number").value.trim() : id("game").value;
  return /^\d{1,16}$/.test(number) ? Number(number) : number;
}

// ---- What was pasted.

const AROUND = /^[\s\p{C}\p{Pi}\p{Pf}‚„"'`<>.]+|[\s\p{C}\p{Pi}\p{Pf}‚„"'`<>.]+$/gu;
const SUPPORT_CODE = /^[0-7][0-9A-HJKMNP-TV-Z]{25}$/i;

/** Tells what a text is: {kind, name, field, value}, or {kind: null, why}. */
function recognise(pasted) {
  const text = pasted.replace(AROUND, "");
  if (/^ogw_/.test(text)) {
    return { kind: null, why: "This looks like a token of the gateway. It is a secret: show it to nobody. It was sent nowhere." };
  }
  if (/^[1-9]\d{0,15}$/.test(text) && Number.isSafeInteger(Number(text))) {
    return { kind: "user", name: "an itch.io user number", field: "user_id", value: Number(text) };
  }
  if (SUPPORT_CODE.test(text)) {
    return { kind: "decision", name: "a support code", field: "decision_id", value: text.toUpperCase() };
  }
  if (/^[^\s@]+@[^\s@]+$/.test(text) && !text.includes("://")) {
    return { kind: "email", name: "an e-mail address", field: "email", value: text };
  }
  if (/^[\w-]+\.[\w-]+\.[\w-]*$/.test(text) && text.length > 40) {
    // {"alg":"RS256": a pass.
    if (/^eyJhbGciOiJSUzI1Ni/.test(text)) return { kind: null, why: "This is a pass, a secret. It was sent nowhere. Ask the player for the support code." };
    return { kind: "jwt", name: "a JWT of the itch.io app", field: "jwt", value: text };
  }
  if (/^(https?:\/\/)?([a-z0-9-]+\.)*itch\.io\//i.test(text)) {
    const isKey = /\/download\/|\/bundle\//i.test(text);
    if (isKey) return { kind: "key", name: "a download link", field: "download_key", value: text };
    return { kind: null, why: "This is the address of a page on itch.io, and proves nothing. Ask the player for the download link or the support code." };
  }
  if (/^[\w-]{8,64}$/.test(text)) {
    return { kind: "key", name: "a download key", field: "download_key", value: text };
  }
  const inside = text.split(/[^0-9A-Za-z]+/).find((word) => SUPPORT_CODE.test(word) && /\d/.test(word));
  if (inside) return { kind: "decision", name: "a support code", field: "decision_id", value: inside.toUpperCase() };
  return { kind: null, why: "This is nothing that we know. Ask the player for the support code that the game shows, or for the download key." };
}

// ---- Looking up.

const HAS_RIGHTS = { key: ["verify"], jwt: ["verify"], email: ["verify", "assert:email"], user: ["assert:user"] };
const may = (...rights) => rights.every((right) => state.caller.rights.includes(right));

const PROOFS = {
  download_key: "a download key", purchase: "a purchase", bundle_purchase: "a bundle that was bought", web_purchase: "a payment for the web game",
};
const METHODS = { download_key: "download key", jwt: "JWT of the itch.io app", email: "e-mail address", user: "itch.io user number", pass: "pass" };
const TIERS = { memory: "This gateway remembers", redis: "All remember" };

/** Tells what the box holds, and asks about that and the chosen game. */
async function lookUp() {
  const found = recognise(id("pasted").value);
  if (found.kind === null) {
    looked = null;
    showUnknown(found.why);
    return;
  }
  await explain(found, chosenGame());
}

/** Shows why somebody is let in or not. What is done beside the answer is about the same, not about what the box holds by then. */
async function explain(found, game, asked) {
  say("");
  const body = { [found.field]: found.value };
  if (found.kind !== "decision") body.game = game;
  if (asked) body.ask = true;
  const explanation = await attempt(() => ask("POST", "/admin/explain", body), id("look-up"));
  if (explanation === null) {
    looked = null;
    id("result").hidden = true;
    return;
  }
  await attempt(refresh); // what it says beside the result is not said twice
  if (state === null) return;
  looked = { found, game, explanation, subject: subjectOf(found, explanation) };
  showResult();
  if (asked && !id("sandbox").hidden) await attempt(showSandbox);
}

/** The field by which an operator can say something about the player; null where it is not known who that is. */
function subjectOf(found, { decision }) {
  if (found.kind === "key" || found.kind === "email" || found.kind === "user") return { [found.field]: found.value };
  return decision.player ? { user_id: decision.player.id } : null;
}

function showUnknown(why) {
  const card = id("result");
  card.className = "card open";
  card.replaceChildren(make("h2", { id: "result-title", class: "verdict", tabindex: "-1" }, "Not recognised"), make("p", { class: "lead" }, why));
  card.hidden = false;
  say("");
  id("result-title").focus();
}

function showResult() {
  const { found, explanation } = looked;
  const { decision, sentences, next_step: advice } = explanation;
  const [first, ...others] = sentences;
  const rest = others.filter((sentence) => sentence !== advice && !Object.values(state.sentences).includes(sentence));
  const colon = first.indexOf(": ");
  const [verdict, lead] = colon < 0 ? [first, ""] : [first.slice(0, colon), first.slice(colon + 2)];
  const kind = decision.allowed ? "good" : decision.outcome === "unknown" ? "open" : "bad";
  const card = id("result");
  card.className = `card ${kind}`;
  card.replaceChildren(...[
    make("p", { class: "quiet" }, `This is ${found.name}, about ${titleOf(decision)}.`),
    make("h2", { id: "result-title", class: "verdict", tabindex: "-1" }, verdict),
    make("p", { class: "lead" }, lead.startsWith("itch.io") ? lead : lead.slice(0, 1).toUpperCase() + lead.slice(1)),
    rest.map((sentence) => make("p", {}, sentence)),
    advice ? make("p", { class: "advice" }, make("b", {}, "What the player can do"), advice) : "",
    facts(found, explanation),
    past(explanation.refusals),
    forTheLog(decision),
    actions(),
  ].flat());
  card.hidden = false;
  say("");
  id("result-title").focus();
}

const titleOf = (decision) => {
  const option = [...id("game").options].find((one) => one.value === String(decision.game_id));
  return option ? option.textContent : `game ${decision.game_id}`;
};

const proofs = (list) => list.map(({ kind, id: number, acquired_at: at }) =>
  `: ${PROOFS[kind] || kind}${number === null ? "" : `, no. ${number}`}${at ? `, of ${dateOf(at)}` : ""}`);

function facts(found, { decision, remembered }) {
  const rows = [];
  const row = (name, ...content) => rows.push(make("dt", {}, name), make("dd", {}, content));
  if (decision.player) row("Player", `itch.io user ${decision.player.id}`, nameOf(decision.player));
  if (found.kind === "decision") {
    row("Decided", when(decision.at));
    row("Asked by", `${decision.caller}, by ${METHODS[decision.method]}`);
  }
  for (const one of remembered) {
    const says = one.says === "refused" ? "this JWT is no good" : one.says;
    const old = one.counts ? "" : " Too old by now, forgotten or not believed: it does not count.";
    row(TIERS[one.tier] || one.tier, one.about === "identity" ? "whose it is, " : "", says, proofs(one.proofs), ". Asked ", when(one.observed_at), ".", old);
  }
  if (remembered.length === 0 && found.kind !== "decision") row("Remembered", "nothing");
  return make("dl", {}, rows);
}

const nameOf = ({ username, display_name: shown }) => [shown, username].filter(Boolean).map((name) => ` · ${name}`).join("");

function past(refusals) {
  if (refusals.length === 0) return make("p", { class: "quiet" }, "No refusal of the last three days is remembered.");
  const items = refusals.map((one) =>
    make("li", {},
      when(one.last_at), ` by ${METHODS[one.method]}${one.count > 1 ? `, ${one.count} times` : ""}: ${one.sentence} `,
      button(one.decision_id, () => lookUpText(one.decision_id), { class: "small", "aria-label": `Look up the support code ${one.decision_id}` })),
  );
  return [make("h3", {}, "Not let in lately"), make("ul", { class: "lines" }, items)];
}

function forTheLog({ decision_id: decision, subject, account }) {
  const names = [["Support code", decision], ["Credential", subject], ["Account", account]].filter(([, name]) => name);
  if (names.length === 0) return "";
  const rows = names.map(([title, name]) => [make("dt", {}, title), make("dd", {}, make("code", {}, name))]);
  return make("details", {}, make("summary", {}, "Names in the log"), make("dl", {}, rows.flat()));
}

function lookUpText(text) {
  id("pasted").value = text;
  lookUp();
}

// ---- Acting.

function actions() {
  const { found, game, subject } = looked;
  const parts = [];
  if (may("override")) {
    parts.push(subject ? wordButtons(subject) : make("p", { class: "quiet" }, "To let in or keep out, paste the address or the user number itself."));
  }
  const others = [];
  if (found.kind !== "decision" && may(...HAS_RIGHTS[found.kind])) {
    others.push(button("Ask itch.io now", () => explain(found, game, true), { id: "ask-now" }));
  }
  if (may("admin") && subject) others.push(button("Forget what is known", forget, { id: "forget" }));
  if (others.length > 0) parts.push(make("div", { class: "buttons" }, others));
  return parts.length > 0 ? make("div", { class: "act" }, parts) : "";
}

function wordButtons(subject) {
  const row = (title, word) =>
    make("div", { role: "group", "aria-label": title }, make("h3", {}, title),
      make("div", { class: "buttons" }, [1, 7, 30].map((days) =>
        button(plural(days, "day"), (event) => setOverride(subject, word, days, event.currentTarget), { "data-word": `${word}-${days}` }))));
  return [
    make("label", { for: "note" }, "Why, for your colleagues (may be empty)"),
    make("input", { id: "note", type: "text", maxlength: "200", autocomplete: "off" }),
    make("div", { class: "columns" },
      subject.download_key === undefined ? row("Let in for", "grant") : make("p", { class: "quiet" }, "A key may be in many hands, so it cannot be let in. Let in its player, by number or address."),
      row("Keep out for", "ban")),
  ];
}

function gameOfResult() {
  return looked.explanation.decision.game_id;
}

async function setOverride(subject, word, days, control) {
  const note = id("note").value.trim();
  const body = { game: gameOfResult(), ...subject, word, seconds: days * DAY, ...(note ? { note } : {}) };
  const done = await attempt(() => ask("POST", "/admin/overrides", body), control);
  if (done === null) return;
  await again();
  const others = done.replicas === "all" ? "" : " Only this gateway knows it: the memory of all is away, or not used.";
  say(`${word === "grant" ? "Let in" : "Kept out"} for ${plural(days, "day")}.${others}`);
  await showOverrides();
}

async function forget(event) {
  const body = { game: gameOfResult(), ...looked.subject };
  if ((await attempt(() => ask("POST", "/admin/invalidate", body), event.currentTarget)) === null) return;
  await again();
  say("Forgotten. The next question asks itch.io.");
}

/** Looks once more, now that something is different. */
async function again() {
  if (looked) await explain(looked.found, looked.game);
}

// ---- Overrides.

async function showOverrides() {
  const place = id("overrides");
  const game = chosenGame();
  if (game === "") {
    place.replaceChildren(make("p", { class: "quiet" }, "Name a game."));
    return;
  }
  const list = await attempt(() => ask("GET", `/admin/overrides?game=${encodeURIComponent(game)}`));
  if (list === null) return;
  if (list.length === 0) {
    place.replaceChildren(make("p", { class: "quiet" }, "Nobody at the moment. What is for good stands in the configuration."));
    return;
  }
  place.replaceChildren(table(["Who", "What", "Until", "By and why", ""], list.map((one) => [
    one.user_id === null ? `${METHODS[one.method]} ${one.subject}` : `itch.io user ${one.user_id}`,
    one.word === "grant" ? "let in" : "kept out",
    when(one.until),
    [one.by || "not known", one.note ? `: ${one.note}` : ""],
    may("override") ? button("Take back", (event) => takeBack(one, event.currentTarget), { class: "small" }) : "",
  ])));
}

async function takeBack(override, control) {
  const done = await attempt(async () => {
    await ask("DELETE", `/admin/overrides/${override.id}`);
    return true;
  }, control);
  if (!done) return;
  await again();
  say("Taken back.");
  await showOverrides();
}

// Roles are said once more: where a narrow page shows rows as blocks, they are no table to a screen reader otherwise.
function table(titles, rows) {
  return make("table", { role: "table" },
    make("thead", { role: "rowgroup" }, make("tr", { role: "row" }, titles.map((title) => make("th", { role: "columnheader", scope: "col" }, title)))),
    make("tbody", { role: "rowgroup" }, rows.map((row) => make("tr", { role: "row" }, row.map((cell) => make("td", { role: "cell" }, cell))))));
}

// ---- The sandbox.

const FAULTS = [
  ["", "It answers as ever"], ["outage", "It is out of order"], ["throttle", "It asks us to slow down"],
  ["key_revoked", "It refuses the seller’s key"], ["slow", "It is too slow"],
];
const MOST_ROWS = 200;

async function showSandbox() {
  const [world, faults, time, requests] = await Promise.all(
    ["world", "faults", "clock", "requests"].map((name) => ask("GET", `/sandbox/${name}`)));
  showFaults(faults.faults);
  id("clock").replaceChildren("It is ", make("time", { datetime: time.now }, clockOf(time.now)),
    time.ahead_seconds >= 1 ? `, ${duration(time.ahead_seconds)} ahead.` : ".");
  showWorld(world);
  showRequests(requests);
  id("sandbox").hidden = false;
}

function showFaults(standing) {
  const name = standing.length === 0 ? "" : standing[0].fault.name || "other";
  const legend = id("faults").querySelector("legend");
  const choices = FAULTS.map(([value, text]) => {
    const input = make("input", { type: "radio", name: "fault", value, checked: value === name });
    input.addEventListener("change", () => actInSandbox(value ? "PUT" : "DELETE", "/sandbox/faults", value ? { name: value } : undefined, text + "."));
    return make("label", { class: "choice" }, input, text);
  });
  const other = name === "other" ? make("p", { class: "quiet" }, "Other faults stand at the moment.") : "";
  id("faults").replaceChildren(legend, ...choices, other);
}

function showWorld({ users, keys, purchases, games }) {
  const titles = new Map(games.map((game) => [game.id, game.title || game.slug]));
  const mails = new Map(users.flatMap((user) => user.emails.map((email) => [email, user.id])));
  const owned = new Map();
  const give = (owner, thing) => owned.set(owner, [...(owned.get(owner) || []), thing]);
  for (const key of keys) give(key.user_id === null ? `key ${key.id}` : key.user_id, [keyText(key, titles), key]);
  for (const one of purchases) give(one.user_id || mails.get(one.email) || one.email, [purchaseText(one, titles), one]);
  const rows = users.map((user) => [user.id, `${user.id} · ${user.display_name || user.username}`, String(user.id), user.emails]);
  const strangers = [...owned.keys()].filter((owner) => !users.some((user) => user.id === owner));
  for (const owner of strangers) {
    const unclaimed = String(owner).startsWith("key ");
    const [[, thing]] = owned.get(owner);
    rows.push([owner, unclaimed ? "No account has claimed it" : owner, unclaimed ? thing.key : owner, []]);
  }
  id("world").replaceChildren(table(["Player", "Has", ""], rows.slice(0, MOST_ROWS).map(([owner, name, text, emails]) => [
    [make("div", {}, name), emails.map((email) => make("div", { class: "quiet" }, email))],
    (owned.get(owner) || [["nothing", null]]).map(([told, thing]) => make("div", {}, told, " ", take(thing))),
    button("Look up", () => lookUpText(text), { class: "small", "aria-label": `Look up ${name}` }),
  ])));
  if (rows.length > MOST_ROWS) id("world").append(make("p", { class: "quiet" }, `And ${rows.length - MOST_ROWS} more.`));
}

const keyText = (key, titles) => `key ${key.key} for ${titles.get(key.game_id) || key.game_id}${key.revoked ? ", revoked" : ""}`;

function purchaseText(purchase, titles) {
  const what = purchase.game_id.map((game) => titles.get(game) || game).join(", ");
  const kind = { game: "purchase", bundle: "bundle", sub_product: "sub-product" }[purchase.purchase_type];
  return `${kind} of ${what}${purchase.donation ? ", without a key" : ""}${purchase.refunded ? ", refunded" : ""}`;
}

function take(thing) {
  if (thing === null || thing.revoked || thing.refunded) return "";
  return thing.key === undefined
    ? button("Refund", () => actInSandbox("POST", "/sandbox/purchases/refund", { purchase_id: thing.purchase_id }, "Refunded. What the gateway remembers is as before."), { class: "small" })
    : button("Revoke", () => actInSandbox("POST", "/sandbox/keys/revoke", { key: thing.key }, "Revoked. What the gateway remembers is as before."), { class: "small" });
}

function showRequests({ total, last }) {
  id("requests-total").textContent = total === 0 ? "None since the last reset." : `${total} since the last reset, the latest first.`;
  id("requests").replaceChildren(total === 0 ? "" : table(["When", "What", "Answer"], last.slice(-20).reverse().map((one) => [
    new Date(one.at).toLocaleTimeString("en-GB"),
    `${one.method} ${one.path}${one.query.length ? "?" + one.query.map((pair) => pair.join("=")).join("&") : ""}`,
    `${one.status}${one.fault ? ", by a fault" : ""}`,
  ])));
}

async function actInSandbox(method, path, body, said) {
  const done = await attempt(() => ask(method, path, body));
  await attempt(refresh);
  if (state) await attempt(showSandbox);
  if (done !== null) say(said);
}

// ---- The page.

id("sign-in-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  token = id("token").value.trim();
  id("token").value = "";
  const entered = await attempt(async () => {
    await enter();
    return true;
  });
  if (!entered) {
    token = null;
    id("token").focus();
  }
});
id("look-up-form").addEventListener("submit", (event) => {
  event.preventDefault();
  lookUp();
});
id("sign-out").addEventListener("click", () => signOut("You are signed out."));
for (const name of ["game", "game-number"]) id(name).addEventListener("change", () => showOverrides());
for (const control of document.querySelectorAll("[data-advance]")) {
  const seconds = Number(control.dataset.advance);
  control.addEventListener("click", () => actInSandbox("POST", "/sandbox/clock", { advance_seconds: seconds }, `${control.textContent} has passed.`));
}
id("reset").addEventListener("click", () => {
  id("result").hidden = true;
  looked = null;
  actInSandbox("POST", "/sandbox/reset", undefined, "Everything is as at the start.").then(() => state && showOverrides());
});
for (const kind of ["pointerdown", "keydown"]) addEventListener(kind, () => { lastUsed = Date.now(); }, { passive: true });
// A page that the browser keeps for "back" would keep the token, too.
addEventListener("pagehide", () => { if (token !== null) signOut(); });

setInterval(() => {
  if (token !== null && Date.now() - lastUsed > IDLE_MS) signOut("You were signed out, because you did nothing for half an hour.");
  else if (state !== null && !document.hidden) renew();
}, REFRESH_MS);

// A gateway without configured callers, as the sandbox, asks for no token.
enter().catch((refused) => {
  if (!(refused instanceof Refused)) throw refused;
  if (refused.status === 401) signOut();
  else signOut(refused.message);
});
