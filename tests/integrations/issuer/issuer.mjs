// An issuer of id tokens: oidc-provider with one client and two players, over HTTPS. Arguments: port, certificate, key, client,
// its secret, and where it is sent back to. The name that is typed in at the login is the address, which is verified unless it
// begins with "unverified".
import { readFileSync } from "node:fs";
import { createServer } from "node:https";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [port, cert, key, client, secret, callback, tools] = process.argv.slice(2);
const { Provider } = await import(pathToFileURL(createRequire(`${tools}/`).resolve("oidc-provider")));

const provider = new Provider(`https://localhost:${port}`, {
  clients: [{ client_id: client, client_secret: secret, redirect_uris: [callback] }],
  claims: { openid: ["sub"], email: ["email", "email_verified"] },
  conformIdTokenClaims: false, // as Google does: the address is in the id token
  findAccount: (_, id) => ({
    accountId: id,
    claims: () => ({ sub: id, email: id, email_verified: !id.startsWith("unverified") }),
  }),
});

createServer({ cert: readFileSync(cert), key: readFileSync(key) }, provider.callback()).listen(Number(port), "127.0.0.1", () => {
  console.log("listening");
});
