// Logs a player in with itch.io (https://itch.io/docs/api/oauth), and shows what only owners get.
"use strict";

const told = document.getElementById("told");
const logIn = document.getElementById("log-in");

// Both scopes are needed: whether the player owns the game, which itch.io tells your own application alone, and who it is.
const SCOPES = "game:view:ownership profile:me";
const LONGEST_WAIT_SECONDS = 60;

logIn.addEventListener("click", () => {
  const state = crypto.randomUUID();
  sessionStorage.setItem("state", state);
  location.assign("https://itch.io/user/oauth?" + new URLSearchParams({
    client_id: document.querySelector("meta[name=client-id]").content,
    scope: SCOPES,
    redirect_uri: location.origin + "/",
    response_type: "token",
    state,
  }));
});

/** The token with which itch.io has sent the player back, null without one; it leaves the address bar and the history. */
function takeToken() {
  const answer = new URLSearchParams(location.hash.slice(1));
  const state = sessionStorage.getItem("state");
  sessionStorage.removeItem("state");
  history.replaceState(null, "", location.pathname);
  // Without this another page could log the player in as somebody else.
  return state !== null && answer.get("state") === state ? answer.get("access_token") : null;
}

async function enter(accessToken) {
  for (;;) {
    const response = await fetch("/session", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ access_token: accessToken }),
    });
    const answer = await response.json();
    if (response.ok) return show(answer.session);
    told.textContent = answer.shown;
    if (response.status !== 503) return;
    const seconds = Math.min(Number(response.headers.get("Retry-After")) || 2, LONGEST_WAIT_SECONDS);
    await new Promise((resolve) => setTimeout(resolve, seconds * 1000 * (1 + Math.random() / 4)));
  }
}

// The session is in a header and not in a cookie, which a browser keeps from a page in a frame on itch.io.
async function show(session) {
  const response = await fetch("/treasure", { headers: { Authorization: `Bearer ${session}` } });
  const answer = await response.json();
  told.textContent = response.ok ? `You have found ${answer.treasure}.` : answer.shown;
  logIn.hidden = response.ok;
}

const token = takeToken();
if (token !== null) {
  logIn.hidden = true;
  enter(token).catch(() => { told.textContent = "The game cannot be reached at the moment."; }).finally(() => {
    if (!told.textContent.startsWith("You have")) logIn.hidden = false;
  });
}
