// Checks the passes on standard input: `now TAB refresh`, or `now TAB admit TAB player TAB pass`, the last two in base64.

import { createInterface } from "node:readline";
import { PassVerifier } from "../../../deploy/examples/passes/pass_verifier.mjs";

let clock = 0;
const [gateway, issuer, audience] = process.argv.slice(2);
const verifier = new PassVerifier(gateway, { issuer, audience, now: () => clock });
for await (const line of createInterface({ input: process.stdin })) {
  const [now, what, ...rest] = line.split("\t");
  clock = Number(now);
  if (what === "refresh") {
    console.log("refreshed", (await verifier.refresh()).length);
    continue;
  }
  const [player, text] = rest.map((one) => Buffer.from(one, "base64").toString());
  const verdict = await verifier.admit(text, player || null);
  console.log(verdict.what, verdict.reason, verdict.claims?.sub ?? "");
}
