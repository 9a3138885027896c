// What is known of players, and what can be done for them. script.js loads it once somebody has signed in.
import {
  DAY, ago, ask, attempt, button, clockOf, id, make, now, plural, quiet, refresh, renewSandbox, say, state, table, when,
} from "./script.js";

let looked = null; // what the result on the page is about

const METHODS = { download_key: "download key", jwt: "JWT of the itch.io app", email: "e-mail address", user: "itch.io user number", pass: "pass", access_token: "access token of itch.io" };

// itch.io writes itself so, also at the beginning.
const capital = (text) => (text.startsWith("itch.io") ? text : text.slice(0, 1).toUpperCase() + text.slice(1));

const dateOf = (instant) => new Date(instant).toLocaleDateString("en-GB", { dateStyle: "medium" });

/** A sentence of the gateway's; the instants in it are shown as all others of the page. */
const sentence = (text) =>
  text.split(/(\d{4}-\d\d-\d\d \d\d:\d\d UTC)/).map((part, place) => (place % 2 ? when(part.replace(" UTC", "Z").replace(" ", "T")) : part));

function chosenGame() {
  const number = id("game").hidden ? id("game-number").value.trim() : id("game").value;
  return /^\d{1,16}$/.test(number) ? Number(number) : number;
}

function titleOf(game) {
  const option = [...id("game").options].find((one) => one.value === String(game));
  return option ? option.textContent : `game ${game}`;
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

const may = (...rights) => rights.every((right) => state.caller.rights.includes(right));

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

export function lookUpText(text) {
  id("pasted").value = text;
  lookUp();
}

/** Shows why somebody is let in or not. What is done beside the answer is about the same, not about what the box holds by then. */
async function explain(found, game, asked) {
  say("");
  const body = { [found.field]: found.value };
  if (found.kind !== "decision") body.game = game;
  if (asked) body.ask = true;
  const explanation = await attempt(() => ask("POST", "/admin/explain", body), id("look-up"));
  if (explanation === null) {
    forgetResult();
    return;
  }
  await attempt(refresh); // the store may have been asked
  if (state === null) return;
  looked = { found, game, explanation, subject: subjectOf(found, explanation), at: new Date(now()).toISOString() };
  showResult();
  if (asked) await renewSandbox();
}

/** The field by which an operator can say something about the player; null where it is not known who that is. */
function subjectOf(found, { decision }) {
  if (found.kind === "key" || found.kind === "email" || found.kind === "user") return { [found.field]: found.value };
  return decision.player ? { user_id: decision.player.id } : null;
}

/** Looks once more, now that something is different. */
async function again() {
  if (looked) await explain(looked.found, looked.game);
}

export function forgetResult() {
  looked = null;
  id("result").hidden = true;
  id("result").replaceChildren();
}

// ---- The result.

function showCard(kind, ...content) {
  const card = id("result");
  card.className = `card ${kind}`;
  card.replaceChildren(...content.flat(Infinity));
  card.hidden = false;
  say("");
  id("result-title").focus();
}

const heading = (...content) => make("h2", { id: "result-title", class: "verdict", tabindex: "-1" }, content);

const showUnknown = (why) => showCard("open", heading("Not recognised"), make("p", { class: "lead" }, why));

function showResult() {
  const { found, explanation, at } = looked;
  const { decision, verdict, let_in: letIn, why, details, next_step: advice, operator } = explanation;
  const letInSince = letIn && !decision.allowed && operator && operator.until;
  showCard(letIn === null ? "open" : letIn ? "good" : "bad",
    quiet(`This is ${found.name}, about ${titleOf(decision.game_id)}. Looked up `, ago(at), "."),
    heading(verdict, letInSince ? ` until ${clockOf(operator.until)}` : ""),
    make("p", { class: "lead" }, sentence(why)),
    details.map((detail) => make("p", {}, sentence(detail))),
    advice ? make("p", { class: "advice" }, make("b", {}, "What the player can do"), advice) : [],
    facts(explanation),
    past(explanation),
    forTheOperators(decision),
    actions());
}

const PROOFS = {
  download_key: "a download key", purchase: "a purchase", bundle_purchase: "a bundle that was bought", web_purchase: "a payment for the web game",
};
const TIERS = { memory: "this gateway", redis: "the shared memory" };
const SAID = { yes: "Yes", no: "No", refused: "This JWT is no good" };

function facts({ decision, operator, remembered }) {
  const rows = [];
  const row = (name, ...content) => rows.push(make("dt", {}, name), make("dd", {}, content));
  if (decision.player) row("Player", `itch.io user ${decision.player.id}`, nameOf(decision.player));
  if (decision.decision_id !== null) {
    row("Decided", when(decision.at));
    row("Asked by", `${decision.caller}, by ${METHODS[decision.method]}`);
  }
  if (operator) row(operator.word === "grant" ? "Let in by" : "Kept out by", saidBy(operator));
  for (const answer of answersIn(remembered)) row(answer.about === "identity" ? "Whose JWT" : "itch.io said", saidByStore(answer));
  if (remembered.length === 0 && decision.decision_id === null) row("itch.io said", "Nothing that is remembered.");
  return make("dl", {}, rows);
}

const nameOf = ({ username, display_name: shown }) => [shown, username].filter(Boolean).map((name) => ` · ${name}`).join("");

function saidBy({ source, by, note, at }) {
  if (source === "configuration") return "the configuration of the gateway";
  return [by || "a name that is lost", at ? [", ", when(at)] : [], note ? `: ${note}` : ""];
}

/** What is remembered, each answer once; `where` are all that remember it. */
function answersIn(remembered) {
  const answers = new Map();
  for (const one of remembered) {
    const key = JSON.stringify([one.about, one.says, one.observed_at, one.counts]);
    const where = TIERS[one.tier] || one.tier;
    if (answers.has(key)) answers.get(key).where.push(where);
    else answers.set(key, { ...one, where: [where] });
  }
  return [...answers.values()];
}

function saidByStore({ about, says, proofs, observed_at: at, where, counts }) {
  const told = about === "identity" && says === "yes" ? "Known" : SAID[says] || says;
  const old = counts ? "" : " It does not count any more: it is too old, forgotten, or not believed.";
  return [`${told}${proofs.map(proofText).join("")}. Asked `, when(at), `; remembered by ${where.join(" and ")}.${old}`];
}

const proofText = ({ kind, id: number, acquired_at: at }) =>
  `: ${PROOFS[kind] || kind}${number === null ? "" : `, no. ${number}`}${at ? `, of ${dateOf(at)}` : ""}`;

/** The refusals beside the one that is shown. */
function past({ decision, refusals }) {
  const isShown = (one) => one.decision_id === decision.decision_id
    || (decision.decision_id !== null && one.at === decision.at && one.subject === decision.subject && one.reason === decision.reason);
  const others = refusals.filter((one) => !isShown(one));
  if (others.length === 0) return quiet(`No ${refusals.length === 0 ? "" : "other "}refusal of the last three days is remembered.`);
  const items = others.map((one) =>
    make("li", {},
      when(one.last_at), ` by ${METHODS[one.method]}${one.count > 1 ? `, ${one.count} times` : ""}: ${one.sentence} `,
      button(one.decision_id, () => lookUpText(one.decision_id), { class: "small", "aria-label": `Look up the support code ${one.decision_id}` })),
  );
  return [make("h3", {}, others.length === refusals.length ? "Not let in lately" : "Also not let in lately"), make("ul", { class: "lines" }, items)];
}

function forTheOperators({ decision_id: decision, subject, account }) {
  const names = [["Support code", decision], ["The credential", subject], ["The account", account]].filter(([, name]) => name);
  if (names.length === 0) return [];
  const rows = names.map(([title, name]) => [make("dt", {}, title), make("dd", {}, make("code", {}, name))]);
  return make("details", {}, make("summary", {}, "For the operators: to find this in the log"), make("dl", {}, rows.flat()));
}

// ---- Acting.

function actions() {
  const { subject } = looked;
  const parts = [subject === null ? pasteItself() : [], askPart()];
  if (subject !== null && may("override")) parts.push(overridePart(subject));
  if (subject !== null && may("admin")) {
    parts.push(make("div", { class: "buttons" }, button("Forget what is known", forget, { id: "forget" })));
  }
  const shown = parts.flat(Infinity);
  return shown.length > 0 ? make("div", { class: "act" }, shown) : [];
}

/** Of a refusal by key or address only a fingerprint is kept, so that nothing can be done with the support code alone. */
function pasteItself() {
  const { explanation: { decision }, found } = looked;
  if (found.kind === "jwt") return quiet("itch.io has not said whose JWT this is. To act on the player, paste the itch.io user number, the address or the key.");
  const namesPlayer = decision.method === "email" || decision.method === "download_key";
  const kept = namesPlayer ? `The ${METHODS[decision.method]} itself is not kept.` : `The account behind that ${METHODS[decision.method]} is not known.`;
  const instead = namesPlayer ? `the ${METHODS[decision.method]}` : "the player’s itch.io user number, address or key";
  return [
    quiet(`${kept} To ask itch.io, to let in or to keep out, paste ${instead}.`),
    make("div", { class: "buttons" }, button("Paste it", () => { id("pasted").select(); }, { id: "paste-it" })),
  ];
}

/** The button that asks itch.io; by a support code, about the account that it led to. Or the right that is missing. */
function askPart() {
  const { found, game, subject, explanation } = looked;
  const isCode = found.kind === "decision";
  if (isCode && subject === null) return [];
  const missing = isCode ? ["assert:user"].filter((right) => !may(right)) : explanation.missing_rights;
  if (missing.length > 0) {
    return quiet(`You cannot ask itch.io now: your token lacks ${missing.length > 1 ? "the rights" : "the right"} ${missing.join(" and ")}. Ask the operators.`);
  }
  const about = isCode ? { kind: "user", name: "an itch.io user number", field: "user_id", value: subject.user_id } : found;
  const inGame = isCode ? explanation.decision.game_id : game;
  return make("div", { class: "buttons" }, button("Ask itch.io now", () => explain(about, inGame, true), { id: "ask-now" }));
}

function overridePart(subject) {
  const choice = (verb, word, name, act) =>
    make("div", { class: "buttons", role: "group", "aria-label": verb }, [1, 7, 30].map((days) =>
      button(`${verb} for ${plural(days, "day")}`, (event) => act(subject, word, days, event.currentTarget), { class: name, "data-word": `${word}-${days}` })));
  return [
    make("label", { for: "note" }, "Ticket and why"),
    make("input", { id: "note", type: "text", maxlength: "200", autocomplete: "off", "aria-describedby": "note-hint" }),
    make("p", { id: "note-hint", class: "quiet" }, "For your colleagues: it stands in the list below. It may be empty."),
    subject.download_key === undefined
      ? choice("Let in", "grant", "in", setOverride)
      : quiet("A key may be in many hands, so it cannot be let in. Let in its player, by number or address."),
    choice("Keep out", "ban", "out", keepOut),
  ];
}

const gameOfResult = () => looked.explanation.decision.game_id;

/** The name of a player in a message. */
function nameOfSubject(subject) {
  if (subject.user_id !== undefined) return `itch.io user ${subject.user_id}`;
  return subject.email === undefined ? "whoever has this download key" : subject.email;
}

async function keepOut(subject, word, days, control) {
  const question = `Keep ${nameOfSubject(subject)} out of ${titleOf(gameOfResult())} for ${plural(days, "day")}?`;
  const explained = "The player cannot play then, even after buying the game. You can take it back in the list of overrides.";
  if (await confirmed(question, explained, "Keep out")) await setOverride(subject, word, days, control);
  else control.focus();
}

async function setOverride(subject, word, days, control) {
  const note = id("note").value.trim();
  const body = { game: gameOfResult(), ...subject, word, seconds: days * DAY, ...(note ? { note } : {}) };
  const done = await attempt(() => ask("POST", "/admin/overrides", body), control);
  if (done === null) return;
  await again();
  await showOverrides();
  const said = `${word === "grant" ? "Let in" : "Kept out"} for ${plural(days, "day")}: ${nameOfSubject(subject)}.`;
  if (done.replicas === "all") say(said);
  else say(`${said} But only this one gateway knows it, because the shared memory (Redis) is away or not used.`, "open");
}

async function forget(event) {
  const body = { game: gameOfResult(), ...looked.subject };
  if ((await attempt(() => ask("POST", "/admin/invalidate", body), event.currentTarget)) === null) return;
  await again();
  say("Forgotten. The next question asks itch.io.");
}

/** Asks whether something is meant. Resolves to true once the button of that name is pressed, else to false. */
function confirmed(question, explained, name) {
  return new Promise((resolve) => {
    const dialog = make("dialog", { "aria-labelledby": "question" },
      make("h2", { id: "question" }, question),
      make("p", {}, explained),
      make("div", { class: "buttons" },
        button("Cancel", () => dialog.close(), { autofocus: true }),
        button(name, () => dialog.close("yes"), { class: "out", id: "confirm" })));
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "yes");
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}

// ---- Overrides.

export async function showOverrides() {
  const place = id("overrides");
  const game = chosenGame();
  if (game === "") {
    place.replaceChildren(quiet("Name a game."));
    return;
  }
  const list = await attempt(() => ask("GET", `/admin/overrides?game=${encodeURIComponent(game)}`));
  if (list === null) return;
  if (list.length === 0) {
    place.replaceChildren(quiet("Nobody at the moment. What is for good stands in the configuration."));
    return;
  }
  place.replaceChildren(table(["Who", "What", "Until", "By and why", ""], list.map((one) => [
    capital(nameOfOverridden(one)),
    one.word === "grant" ? "let in" : "kept out",
    when(one.until),
    [one.by || "not known", one.note ? `: ${one.note}` : ""],
    may("override") ? button("Take back", (event) => takeBack(one, event.currentTarget), { class: "small" }) : "",
  ])));
}

/** The name of a player in the list, which keeps no address and no key. */
function nameOfOverridden({ id: name, method, user_id: user }) {
  if (user !== null) return `itch.io user ${user}`;
  const isShown = looked !== null && looked.subject !== null && looked.explanation.operator && looked.explanation.operator.id === name;
  if (isShown) return `the ${METHODS[method]} that you looked up`;
  return `${method === "email" ? "an" : "a"} ${METHODS[method]} (not kept: paste it above to find it)`;
}

async function takeBack(override, control) {
  const who = nameOfOverridden(override);
  const done = await attempt(async () => {
    await ask("DELETE", `/admin/overrides/${override.id}`);
    return true;
  }, control);
  if (!done) return;
  await again();
  await showOverrides();
  say(`Taken back: ${who} is no longer ${override.word === "grant" ? "let in" : "kept out"}. What itch.io says counts again.`);
}

// ---- The form.

id("look-up-form").addEventListener("submit", (event) => {
  event.preventDefault();
  lookUp();
});
for (const name of ["game", "game-number"]) id(name).addEventListener("change", () => showOverrides());
