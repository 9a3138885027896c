// Ask the ownership gateway whether a player may enter. Node 18 or later, nothing to install.

import { pathToFileURL } from "node:url";

const GATEWAY = process.env.GATEWAY ?? "http://127.0.0.1:8080";
const TOKEN = process.env.CALLER_TOKEN ?? "";
const PATIENCE_MS = 5000;
const NO_ANSWER_WAIT_SECONDS = 2;
const LONGEST_WAIT_SECONDS = 60;
// Put them into the words and languages of your game; a code that is not here has no sentence.
const ADVICE = new Map(Object.entries({
  open_game_once: "If you bought a bundle: open the game's page on itch.io once, while you are logged in. Then try again in a minute.",
  use_itch_login: "Start the game from the itch.io app, or paste your download key: your purchase is not found by this address.",
  copy_key_again: "Copy the download link once more, from the e-mail of your purchase or from your library on itch.io.",
  open_game_from_bundle: "This is the link of a bundle: open the game from it, and paste the link that you find there.",
  restart_from_app: "Start the game again from the itch.io app.",
  open_redeem_link_again: "Open the link once more by which itch.io redeems your purchase.",
  sign_in_again: "Sign in once more: start the game from the itch.io app, or paste your download key.",
  revoke_api_key: "This is your personal API key, which gives away your account: revoke it in your settings on itch.io, and show it to no game.",
  verify_address: "Verify your e-mail address first.",
  try_again: "Your purchase cannot be checked at the moment. Try again in a minute.",
}));
const NO_ANSWER = { what: "later", reason: "no_usable_answer", wait: NO_ANSWER_WAIT_SECONDS };

const BASE = baseOf(GATEWAY);

/** The gateway's URL without a slash at its end; ends the program if it is none. NODE_EXTRA_CA_CERTS trusts a CA of yours. */
function baseOf(url) {
  try {
    const { origin, port } = new URL(url);
    if (/^https?:\/\/(?:[\w.-]+|\[[0-9a-fA-F:.]+\])(?::[0-9]{1,5})?\/?$/.test(url) && port !== "0") return origin;
  } catch {} // no URL at all
  console.error("error: GATEWAY is no URL such as http://127.0.0.1:8080 or https://gateway.example");
  process.exit(1);
}

/**
 * What to do ("in", "out", "other credential", "later", "misconfigured"), why, the seconds to wait, the advice to the
 * player and the support code, both null where there is none.
 */
export async function ask(path, question) {
  const headers = { "Content-Type": "application/json" };
  if (TOKEN) headers.Authorization = `Bearer ${TOKEN}`;
  let status, answer;
  try {
    const response = await fetch(BASE + path, {
      method: "POST", headers, body: JSON.stringify(question),
      redirect: "error", signal: AbortSignal.timeout(PATIENCE_MS),
    });
    status = response.status;
    answer = await response.json();
  } catch {
    return NO_ANSWER; // refused, reset, timed out, or not JSON
  }
  if (answer === null || typeof answer !== "object") return NO_ANSWER;

  if (status === 200) return verdictOf(answer);
  const reason = String(answer.code ?? `status_${status}`);
  if (status === 429 || status >= 500) return { what: "later", reason, wait: secondsIn(answer), ...forPeople(answer) };
  return { what: "misconfigured", reason, wait: LONGEST_WAIT_SECONDS };
}

/** What a 200 means; whatever is not exactly as documented is no answer. */
function verdictOf(answer) {
  const { allowed, outcome, reason } = answer;
  const refused = { reason, wait: 0, ...forPeople(answer) };
  if (allowed === true && (outcome === "owned" || outcome === "granted")) return { what: "in", reason, wait: 0 };
  if (allowed === false && (outcome === "not_owned" || outcome === "banned")) return { what: "out", ...refused };
  if (allowed === false && outcome === "rejected") return { what: "other credential", ...refused };
  return NO_ANSWER;
}

/** Advice and support code, each null if it is not there. */
function forPeople({ advice, decision_id: code }) {
  return { advice: typeof advice === "string" ? advice : null, supportCode: typeof code === "string" ? code : null };
}

/** What the player is shown who is not let in; empty if there is nothing to say. */
export function shownTo({ advice, supportCode }) {
  return [ADVICE.get(advice), supportCode && `Support code: ${supportCode}`].filter(Boolean).join(" ");
}

/** How long the gateway wants to be left alone, which is at least a second. */
function secondsIn({ retry_after_seconds: seconds }) {
  if (!Number.isFinite(seconds)) return NO_ANSWER_WAIT_SECONDS;
  return Math.min(Math.max(seconds, 1), LONGEST_WAIT_SECONDS);
}

/** Keeps the player waiting until there is an answer or the patience is over: then "later", and nothing is granted. */
export async function mayEnter(path, question, keepWaiting = () => {}, patienceSeconds = 120) {
  const giveUpAt = performance.now() + patienceSeconds * 1000;
  for (;;) {
    const verdict = await ask(path, question);
    // A quarter more, at random, so that players who wait together do not come back together.
    const waitMs = verdict.wait * 1000 * (1 + Math.random() / 4);
    if (verdict.what !== "later" || performance.now() + waitMs > giveUpAt) return verdict;
    keepWaiting(verdict);
    await new Promise((resolve) => setTimeout(resolve, waitMs));
  }
}

// node ownership.mjs /verify/download-key '{"game": 3, "download_key": "…"}' [SECONDS]
if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const [path, question, patience] = process.argv.slice(2);
  const report = (verdict) => console.log(`waiting\t${verdict.reason}\t${shownTo(verdict)}`);
  const verdict = await mayEnter(path, JSON.parse(question), report, Number(patience ?? 120));
  console.log(`${verdict.what}\t${verdict.reason}\t${shownTo(verdict)}`);
}
