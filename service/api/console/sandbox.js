// The panel of the sandbox: the world behind the gateway. script.js loads it, only where the gateway has a sandbox.
import { forgetResult, lookUpText, showOverrides } from "./players.js";
import { DAY, ask, attempt, button, clockOf, duration, id, make, plural, refresh, scrolling, state, table, tell } from "./script.js";

const FAULTS = [
  ["", "It answers as ever"], ["outage", "It is out of order"], ["throttle", "It asks us to slow down"],
  ["key_revoked", "It refuses the seller’s key"], ["slow", "It is too slow"],
];
const MOST_ROWS = 200;
const MOST_REQUESTS = 20;

/** Puts the panel into the page. */
export async function openSandbox() {
  id("sandbox")?.remove();
  id("signed-in").append(make("section", { id: "sandbox", class: "card", "aria-labelledby": "sandbox-title" },
    make("h2", { id: "sandbox-title" }, "The sandbox"),
    make("p", { id: "sandbox-message", class: "message", role: "status" }),
    make("div", { class: "columns" },
      make("fieldset", { id: "faults" }, make("legend", {}, "How the store behaves")),
      make("div", {}, timePart(), resetPart())),
    make("h3", { id: "world-title" }, "Who owns what"),
    make("p", { id: "world-total", class: "quiet" }),
    scrolling("world", "world-title"),
    make("h3", { id: "requests-title" }, "Last requests to the store"),
    make("p", { id: "requests-total", class: "quiet" }),
    scrolling("requests", "requests-title")));
  await showSandbox();
}

export async function showSandbox() {
  const [world, faults, time, requests] = await Promise.all(["world", "faults", "clock", "requests"].map(look));
  if (id("sandbox") === null) return;
  showFaults(faults.faults);
  showClock(time);
  showWorld(world);
  showRequests(requests);
}

/** Shows anew what changes by itself. The rest stays, for somebody may be about to press a button of it. */
export async function renewWhatMoves() {
  const [time, requests] = await Promise.all(["clock", "requests"].map(look));
  if (id("sandbox") === null) return;
  showClock(time);
  showRequests(requests);
}

const look = (name) => ask("GET", `/sandbox/${name}`);

const sayHere = (text, kind) => tell(id("sandbox-message"), text, kind);

async function act(method, path, body, said) {
  const done = await attempt(() => ask(method, path, body), null, sayHere);
  await attempt(refresh, null, sayHere);
  if (state !== null) await attempt(showSandbox, null, sayHere);
  if (done !== null && id("sandbox") !== null) sayHere(said);
}

// ---- Time, and the beginning.

function timePart() {
  const steps = [["A minute", 60], ["An hour", 3600], ["A day", DAY]];
  return [
    make("h3", {}, "Time"),
    make("p", { id: "clock" }),
    make("div", { class: "buttons", role: "group", "aria-label": "Let time pass" }, steps.map(([name, seconds]) =>
      button(name, () => act("POST", "/sandbox/clock", { advance_seconds: seconds }, `${name} has passed.`)))),
  ];
}

function showClock({ now, ahead_seconds: ahead }) {
  id("clock").replaceChildren("It is ", make("time", { datetime: now }, clockOf(now)), ahead >= 1 ? `, ${duration(ahead)} ahead.` : ".");
}

function resetPart() {
  return [
    make("h3", {}, "Begin again"),
    make("p", { class: "quiet" }, "The world, the time and the gateway, which forgets everything."),
    button("Reset", reset, { id: "reset" }),
  ];
}

async function reset() {
  forgetResult();
  await act("POST", "/sandbox/reset", undefined, "Everything is as at the start.");
  if (state !== null) await showOverrides();
}

// ---- How the store behaves.

function showFaults(standing) {
  const name = standing.length === 0 ? "" : standing[0].fault.name || "other";
  const legend = id("faults").querySelector("legend");
  const choices = FAULTS.map(([value, text]) => {
    const input = make("input", { type: "radio", name: "fault", value, checked: value === name });
    input.addEventListener("change", () => act(value ? "PUT" : "DELETE", "/sandbox/faults", value ? { name: value } : undefined, `${text}.`));
    return make("label", { class: "choice" }, input, text);
  });
  const other = name === "other" ? make("p", { class: "quiet" }, "Other faults stand at the moment.") : "";
  id("faults").replaceChildren(legend, ...choices, other);
}

// ---- Who owns what.

function showWorld(world) {
  const owners = ownersIn(world);
  id("world-total").textContent = owners.length > MOST_ROWS ? `The first ${MOST_ROWS} of ${plural(owners.length, "player")}.` : `${plural(owners.length, "player")}.`;
  id("world").replaceChildren(table(["Player", "Has", ""], owners.slice(0, MOST_ROWS).map(({ name, text, emails, has }) => [
    [make("div", {}, name), emails.map((email) => make("div", { class: "quiet" }, email))],
    has.length === 0 ? "nothing" : has.map(([told, thing]) => make("div", {}, told, " ", take(thing))),
    button("Look up", () => lookUpText(text), { class: "small", "aria-label": `Look up ${name}` }),
  ])));
}

/** Lists all who own something, and all users: {name, text to look them up by, emails, has}. */
function ownersIn({ users, keys, purchases, games }) {
  const titles = new Map(games.map((game) => [game.id, game.title || game.slug]));
  const mails = new Map(users.flatMap((user) => user.emails.map((email) => [email, user.id])));
  const owned = new Map(users.map((user) => [user.id, []]));
  const give = (owner, told, thing) => owned.set(owner, [...(owned.get(owner) || []), [told, thing]]);
  for (const key of keys) give(key.user_id === null ? `key ${key.id}` : key.user_id, keyText(key, titles), key);
  for (const one of purchases) give(one.user_id || mails.get(one.email) || one.email, purchaseText(one, titles), one);
  const accounts = new Map(users.map((user) => [user.id, user]));
  return [...owned].map(([owner, has]) => ({ has, ...(accounts.has(owner) ? account(accounts.get(owner)) : stranger(owner, has)) }));
}

const account = (user) => ({ name: `${user.id} · ${user.display_name || user.username}`, text: String(user.id), emails: user.emails });

/** An owner without an account: an address, or a key that no account has claimed. */
function stranger(owner, [[, thing]]) {
  const unclaimed = String(owner).startsWith("key ");
  return { name: unclaimed ? "No account has claimed it" : String(owner), text: unclaimed ? thing.key : String(owner), emails: [] };
}

const keyText = (key, titles) => `key ${key.key} for ${titles.get(key.game_id) || key.game_id}${key.revoked ? ", revoked" : ""}`;

function purchaseText(purchase, titles) {
  const games = purchase.game_id.map((game) => titles.get(game) || game).join(", ");
  const kind = { game: "purchase", bundle: "bundle", sub_product: "sub-product" }[purchase.purchase_type];
  return `${kind} of ${games}${purchase.donation ? ", without a key" : ""}${purchase.refunded ? ", refunded" : ""}`;
}

/** The button that takes a key or a purchase from its owner. */
function take(thing) {
  if (thing.revoked || thing.refunded) return "";
  const isKey = thing.key !== undefined;
  const [word, path] = isKey ? ["Revoke", "/sandbox/keys/revoke"] : ["Refund", "/sandbox/purchases/refund"];
  const body = isKey ? { key: thing.key } : { purchase_id: thing.purchase_id };
  return button(word, () => act("POST", path, body, `${word}${isKey ? "d" : "ed"}. What the gateway remembers is as before.`), { class: "small" });
}

// ---- What the store was asked.

function showRequests({ total, last }) {
  id("requests-total").textContent = total === 0 ? "None since the last reset." : `${total} since the last reset, the latest first.`;
  id("requests").replaceChildren(total === 0 ? "" : table(["When", "What", "Answer"], last.slice(-MOST_REQUESTS).reverse().map((one) => [
    new Date(one.at).toLocaleTimeString("en-GB"),
    `${one.method} ${one.path}${one.query.length ? "?" + one.query.map((pair) => pair.join("=")).join("&") : ""}`,
    `${one.status}${one.fault ? ", by a fault" : ""}`,
  ])));
}
