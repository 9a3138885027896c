// Check passes of the ownership gateway without asking it. Node 18 or later, nothing to install.

import { createPublicKey, verify } from "node:crypto";

const HEADER = { alg: "RS256", typ: "ownership-pass+jwt" };
const FORM = /^([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)$/;
const SUBJECT = /^(?:itch:[1-9][0-9]{0,15}|(?:key|email):[A-Za-z0-9_-]{12})$/;
const LETS_IN = new Map([
  ["owned", ["download_key", "purchase", "bundle_purchase", "web_purchase"]],
  ["granted", ["seller_account", "operator_grant", "press"]],
]);
const ALWAYS = ["iss", "aud", "sub", "iat", "exp", "jti", "game", "outcome", "reason", "method", "handles"];
const SOMETIMES = ["observed_at", "fresh_until", "usable_until", "evidence", "player_ref"];
const LONGEST_PASS = 2048;
const SMALLEST_KEY_BITS = 2048;
const AHEAD_SECONDS = 60;
const LIST_EVERY_SECONDS = 30;
const KEYS_EVERY_SECONDS = 300;
const KEYS_AGAIN_SECONDS = 60;
const PATIENCE_MS = 5000;
const LONGEST_ANSWER_BYTES = 8 * 1024 * 1024;

/**
 * Checks passes with the keys and the list that were fetched last, however long ago: passes are short.
 *
 * `issuer` is the gateway's `passes.issuer`, `audience` is `game:3/server-42` for passes for this server alone, or
 * `game:3`. Call `refresh` every few seconds. `now` returns seconds since 1970.
 */
export class PassVerifier {
  #keys = new Map();
  #voidBefore = new Map();
  #keysAskedAt = -Infinity;
  #listAskedAt = -Infinity;
  #missedKey = false;

  constructor(gateway, { issuer, audience, now = () => Date.now() / 1000 }) {
    this.gateway = gateway.replace(/\/$/, "");
    this.issuer = issuer;
    this.audience = audience;
    this.game = Number(/^game:([0-9]+)(\/|$)/.exec(audience)[1]);
    this.now = now;
  }

  /** Checks a pass; if its key is not known, has the keys fetched, at most once a minute, and checks it again. */
  async admit(text, playerRef = null) {
    const verdict = this.check(text, playerRef);
    if (verdict.reason !== "unknown_key" && verdict.reason !== "no_keys") return verdict;
    await this.refresh();
    return this.check(text, playerRef);
  }

  /**
   * Checks a pass with what is here: what to do with the player ("in", "out", or "later" where no key was ever had),
   * why, and the claims of one that is in. `playerRef` is who is there, by the name that the lobby gave.
   */
  check(text, playerRef = null) {
    const parts = text.length <= LONGEST_PASS ? FORM.exec(text)?.slice(1) : null;
    if (!parts || !parts.every(isCanonical)) return out("malformed_pass");
    const header = objectIn(parts[0]);
    if (header === null || Object.keys(header).sort().join() !== "alg,kid,typ") return out("malformed_pass");
    if (header.alg !== HEADER.alg || header.typ !== HEADER.typ || typeof header.kid !== "string") return out("malformed_pass");
    if (this.#keys.size === 0) return { what: "later", reason: "no_keys", claims: null };
    const key = this.#keys.get(header.kid);
    if (!key) {
      this.#missedKey = true;
      return out("unknown_key");
    }
    // RS256, whatever the header says: the key is one of RSA, and the padding of such a key is PKCS #1.
    if (!verify("sha256", Buffer.from(`${parts[0]}.${parts[1]}`), key, Buffer.from(parts[2], "base64url"))) {
      return out("wrong_signature");
    }
    const claims = objectIn(parts[1]);
    const reason = claims === null ? "no_pass" : this.#faultIn(claims, playerRef);
    return reason ? out(reason) : { what: "in", reason: "pass", claims };
  }

  /** Why claims that the gateway has signed let nobody in here; null if they do. */
  #faultIn(claims, playerRef) {
    if (claims.iss !== this.issuer) return "other_issuer";
    if (claims.aud !== this.audience) return "other_audience";
    if (claims.game !== this.game) return "other_game";
    if (!isPass(claims)) return "no_pass";
    if (claims.exp <= this.now()) return "expired_pass";
    if (claims.iat > this.now() + AHEAD_SECONDS) return "pass_of_the_future";
    if (Object.hasOwn(claims, "player_ref") && claims.player_ref !== playerRef) return "other_player";
    return this.isVoid(claims) ? "void_pass" : null;
  }

  /** Whether a pass is in the list: ask again, after `refresh`, about those who are in. */
  isVoid(claims) {
    const decidedAt = claims.observed_at ?? claims.iat;
    return claims.handles.some((handle) => (this.#voidBefore.get(handle) ?? decidedAt) > decidedAt);
  }

  /** Fetches what is due; returns what could not be fetched, for the log. What was fetched before then stays. */
  async refresh() {
    const failed = [];
    const keysAfter = this.#missedKey || this.#keys.size === 0 ? KEYS_AGAIN_SECONDS : KEYS_EVERY_SECONDS;
    // By the distance, so that a clock that is set back does not stop it.
    if (Math.abs(this.now() - this.#keysAskedAt) >= keysAfter) {
      this.#keysAskedAt = this.now();
      this.#missedKey = false;
      await this.#fetchInto((text) => this.#takeKeys(text), "/.well-known/jwks.json", failed);
    }
    if (Math.abs(this.now() - this.#listAskedAt) >= LIST_EVERY_SECONDS) {
      this.#listAskedAt = this.now();
      await this.#fetchInto((text) => this.#takeList(text), "/passes/invalidated", failed);
    }
    return failed;
  }

  async #fetchInto(take, path, failed) {
    try {
      take(await fetchText(this.gateway + path));
    } catch (failure) {
      failed.push(`${path}: ${failure.message}`);
    }
  }

  #takeKeys(text) {
    const usable = JSON.parse(text).keys.filter(({ kty, alg }) => kty === "RSA" && alg === "RS256");
    const keys = new Map(usable.map(({ kid, n, e }) => [kid, createPublicKey({ key: { kty: "RSA", n, e }, format: "jwk" })]));
    const short = [...keys.values()].some((key) => key.asymmetricKeyDetails.modulusLength < SMALLEST_KEY_BITS);
    if (keys.size === 0 || short) throw new Error("there are no keys in it, or short ones");
    this.#keys = keys;
  }

  #takeList(text) {
    const { before } = JSON.parse(text);
    const isObject = typeof before === "object" && before !== null && !Array.isArray(before);
    if (!isObject || !Object.values(before).every(Number.isFinite)) throw new Error("it is no list");
    this.#voidBefore = new Map(Object.entries(before));
  }
}

const out = (reason) => ({ what: "out", reason, claims: null });

/** Whether there are the claims of a pass, and no others: the same key might sign another kind of token one day. */
function isPass(claims) {
  const { sub, iat, exp, observed_at: observedAt = 0, outcome, reason, handles } = claims;
  return (
    ALWAYS.every((name) => Object.hasOwn(claims, name)) &&
    Object.keys(claims).every((name) => ALWAYS.includes(name) || SOMETIMES.includes(name)) &&
    typeof sub === "string" && SUBJECT.test(sub) &&
    Number.isInteger(iat) && Number.isInteger(exp) && Number.isFinite(observedAt) &&
    (LETS_IN.get(outcome) ?? []).includes(reason) &&
    Array.isArray(handles) && handles.length > 0 && handles.every((handle) => typeof handle === "string")
  );
}

/** Whether it is base64url in its one spelling: others decode to the same bytes. */
function isCanonical(part) {
  return Buffer.from(part, "base64url").toString("base64url") === part;
}

/** The JSON object in a part, null if there is none. */
function objectIn(part) {
  try {
    const value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(Buffer.from(part, "base64url")));
    return value !== null && typeof value === "object" && !Array.isArray(value) ? value : null;
  } catch {
    return null;
  }
}

async function fetchText(url) {
  const response = await fetch(url, { redirect: "error", signal: AbortSignal.timeout(PATIENCE_MS) });
  if (response.status !== 200) throw new Error(`status ${response.status}`);
  const chunks = [];
  let size = 0;
  for await (const chunk of response.body) {
    size += chunk.length;
    if (size > LONGEST_ANSWER_BYTES) throw new Error("it is too long");
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString();
}
