// Asks a gateway through the types that openapi-typescript makes: every outcome, a batch, and one that is full.
// Arguments: address, token, and "outcomes" or "overload". Prints a line for each answer.
import createClient from "openapi-fetch";
import type { components, paths } from "./api.js";

declare const process: { argv: string[] };

const [address, token, what] = process.argv.slice(2);
const client = createClient<paths>({ baseUrl: address ?? "", headers: { Authorization: `Bearer ${token}` } });

type Answer = components["schemas"]["Answer"];
type Refused = components["schemas"]["NoAnswerProblem"] | components["schemas"]["Problem"];

function show(answer: Answer | undefined, refused: Refused | undefined): void {
  if (answer !== undefined) {
    const helps: components["schemas"]["Advice"] | null = answer.advice;
    console.log([answer.allowed, answer.outcome, answer.reason, helps ?? "-"].join(" "));
  } else if (refused?.status === 503) {
    console.log([refused.allowed, refused.outcome, refused.reason, refused.advice ?? "-"].join(" "));
  } else {
    console.log(`${refused?.status} ${refused?.code}`);
  }
}

async function key(text: string): Promise<void> {
  const { data, error } = await client.POST("/verify/download-key", { body: { game: "x-moon", download_key: text } });
  show(data, error);
}

async function user(id: number, remembered: boolean = false): Promise<void> {
  const { data, error } = await client.POST("/verify/user", {
    body: { game: 3, user_id: id, only_if_cached: remembered },
  });
  show(data, error);
}

async function batch(): Promise<void> {
  const { data, error } = await client.POST("/verify/batch", {
    body: {
      items: [
        { id: "a", method: "user", game: 3, user_id: 1994 },
        { id: "b", method: "user", game: 3, user_id: 2010, only_if_cached: true },
        { id: "c", method: "email", game: "nowhere", email: "bea@example.com" },
      ],
    },
  });
  if (error !== undefined) show(undefined, error);
  for (const result of data?.results ?? []) show(result.decision, result.problem);
}

if (what === "outcomes") {
  await key("YWKse5jeAeuZ8w3a5qO2b2PId1sChw2B9b637w6z");
  await user(29789);
  await user(2007);
  await user(2008);
  await key("no key at all");
  await user(2010, true);
  await batch();
} else {
  await user(1994);
  await batch();
  const { error } = await client.POST("/admin/invalidate", { body: { game: 3, user_id: 1994 } });
  show(undefined, error);
}
