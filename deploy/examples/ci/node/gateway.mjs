// A gateway with a sandbox of its own, for the tests of a game server. Node 20 or later; nothing to install.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const COMMAND = (process.env.OWNERSHIP_GATEWAY ?? "ownership-gateway").split(" ");
const CONFIGURATION = fileURLToPath(new URL("../gateway.toml", import.meta.url)); // one folder up; or where yours is
const START_MS = 60_000;

/** Start a gateway on a free port, so that several runs do not meet; resolves once it answers. */
export async function startGateway() {
  const [program, ...first] = COMMAND;
  const child = spawn(program, [...first, "serve", "--sandbox", "--port", "0", "--config", CONFIGURATION], {
    stdio: ["ignore", "pipe", "ignore"],
  });
  const lines = createInterface({ input: child.stdout });
  const url = await new Promise((resolve, reject) => {
    const late = setTimeout(() => reject(new Error("the gateway did not start")), START_MS);
    child.once("error", reject);
    child.once("exit", (code) => reject(new Error(`the gateway ended with ${code}`)));
    // The log has a line that says where the gateway answers; all other lines are read too, or it would stop writing.
    lines.on("line", (line) => {
      const said = JSON.parse(line);
      if (said.event === "started") {
        clearTimeout(late);
        resolve(said.listening);
      }
    });
  });
  return new Gateway(url, child);
}

/** A gateway: asked as a game server asks it, and told what happens in its sandbox. */
class Gateway {
  /** Where your server asks, in its own setting for that. */
  url;
  #child;

  constructor(url, child) {
    this.url = url;
    this.#child = child;
  }

  /** Return the answer to a question by download-key, jwt, email or user; 503 is one too, `unknown`. */
  async ask(method, question) {
    const { status, answer } = await this.#send("POST", `/verify/${method}`, { game: "my-game", ...question });
    if (status !== 200 && status !== 503) throw new Error(JSON.stringify(answer));
    return answer;
  }

  /** Do something in the sandbox: see docs/sandbox.md. */
  async sandbox(method, path, body) {
    const { status, answer } = await this.#send(method, `/sandbox${path}`, body);
    if (status !== 200) throw new Error(JSON.stringify(answer));
    return answer;
  }

  /** Let hours pass, for the gateway and the store: nobody waits for them. */
  passHours(hours) {
    return this.sandbox("POST", "/clock", { advance_seconds: hours * 3600 });
  }

  /** Begin again: nothing of the tests before is left. */
  reset() {
    return this.sandbox("POST", "/reset");
  }

  async stop() {
    const exited = once(this.#child, "exit");
    this.#child.kill("SIGINT"); // SIGTERM would have it wait for load balancers
    await exited;
  }

  async #send(method, path, body) {
    const response = await fetch(this.url + path, {
      method,
      headers: { "Content-Type": "application/json" },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    return { status: response.status, answer: await response.json() };
  }
}
