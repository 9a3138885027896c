// Ask the ownership gateway whether a player may enter. Node 18 or later, nothing to install.

import { pathToFileURL } from "node:url";

const GATEWAY = process.env.GATEWAY ?? "127.0.0.1:8080";
const TOKEN = process.env.CALLER_TOKEN ?? "";
const PATIENCE_MS = 5000;
const NO_ANSWER_WAIT_SECONDS = 2;
const LONGEST_WAIT_SECONDS = 60;
const NO_ANSWER = { what: "later", reason: "no_usable_answer", wait: NO_ANSWER_WAIT_SECONDS };

/** What to do ("in", "out", "other credential", "later", "misconfigured"), why, and the seconds to wait. */
export async function ask(path, question) {
  const headers = { "Content-Type": "application/json" };
  if (TOKEN) headers.Authorization = `Bearer ${TOKEN}`;
  let status, answer;
  try {
    const response = await fetch(`http://${GATEWAY}${path}`, {
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
  if (status === 429 || status >= 500) return { what: "later", reason, wait: secondsIn(answer) };
  return { what: "misconfigured", reason, wait: LONGEST_WAIT_SECONDS };
}

/** What a 200 means; whatever is not exactly as documented is no answer. */
function verdictOf({ allowed, outcome, reason }) {
  if (allowed === true && (outcome === "owned" || outcome === "granted")) return { what: "in", reason, wait: 0 };
  if (allowed === false && (outcome === "not_owned" || outcome === "banned")) return { what: "out", reason, wait: 0 };
  if (allowed === false && outcome === "rejected") return { what: "other credential", reason, wait: 0 };
  return NO_ANSWER;
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
    const { what, reason, wait } = await ask(path, question);
    // A quarter more, at random, so that players who wait together do not come back together.
    const waitMs = wait * 1000 * (1 + Math.random() / 4);
    if (what !== "later" || performance.now() + waitMs > giveUpAt) return { what, reason };
    keepWaiting(reason, waitMs / 1000);
    await new Promise((resolve) => setTimeout(resolve, waitMs));
  }
}

// node ownership.mjs /verify/download-key '{"game": 3, "download_key": "…"}' [SECONDS]
if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const [path, question, patience] = process.argv.slice(2);
  const report = (reason) => console.log(`waiting ${reason}`);
  const { what, reason } = await mayEnter(path, JSON.parse(question), report, Number(patience ?? 120));
  console.log(`${what}\t${reason}`);
}
