// An outage of itch.io, as the players of a game meet it.

import assert from "node:assert/strict";
import { after, before, beforeEach, test } from "node:test";
import { startGateway } from "./gateway.mjs";

let gateway;
before(async () => {
  gateway = await startGateway();
});
after(() => gateway.stop());
beforeEach(() => gateway.reset());

const outcomeOf = async (userId) => (await gateway.ask("user", { user_id: userId })).outcome;

test("an owner keeps playing in an outage and is out after a day", async () => {
  for (const userId of [7, 8]) await gateway.sandbox("POST", "/keys", { game_id: 700, user_id: userId });
  assert.equal(await outcomeOf(7), "owned");

  await gateway.sandbox("PUT", "/faults", { name: "outage" });
  await gateway.passHours(23);
  assert.deepEqual([await outcomeOf(7), await outcomeOf(8)], ["owned", "unknown"]);

  await gateway.passHours(1);
  assert.equal(await outcomeOf(7), "unknown");

  await gateway.sandbox("DELETE", "/faults");
  assert.deepEqual([await outcomeOf(7), await outcomeOf(8)], ["owned", "owned"]);
});

test("nothing of the test before is left", async () => {
  assert.equal(await outcomeOf(7), "not_owned");
});

test("an account that is banned stays out even if it owns the game", async () => {
  await gateway.sandbox("POST", "/keys", { game_id: 700, user_id: 666 });
  assert.equal(await outcomeOf(666), "banned");
});
