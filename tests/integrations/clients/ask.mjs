// Asks about users one after the other with Node's fetch. Arguments: address, token, "known" or "streamed", users.
// Prints a line for each: status, a tab, the body.
const [address, token, kind, ...users] = process.argv.slice(2);

for (const user of users) {
  const question = JSON.stringify({ game: 3, user_id: Number(user) });
  try {
    const response = await fetch(`${address}/verify/user`, {
      method: "POST",
      headers: { "Content-Type": "application/json", Authorization: `Bearer ${token}` },
      signal: AbortSignal.timeout(10_000),
      ...(kind === "streamed" ? { body: new Blob([question]).stream(), duplex: "half" } : { body: question }),
    });
    console.log(`${response.status}\t${await response.text()}`);
  } catch (error) {
    console.log(`0\t${error.cause ?? error}`);
  }
}
