// Checks the passes on standard input: `now TAB refresh`, or `now TAB admit TAB player TAB pass`, the last two in base64.

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.Base64;

public final class Check {
  private static double clock;

  public static void main(String[] arguments) throws IOException {
    PassVerifier verifier = new PassVerifier(arguments[0], arguments[1], arguments[2], () -> clock);
    BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    for (String line = lines.readLine(); line != null; line = lines.readLine()) {
      String[] words = line.split("\t", -1);
      clock = Double.parseDouble(words[0]);
      if (words[1].equals("refresh")) {
        System.out.println("refreshed " + verifier.refresh().size());
        continue;
      }
      String player = plain(words[2]);
      PassVerifier.Verdict verdict = verifier.admit(plain(words[3]), player.isEmpty() ? null : player);
      System.out.println(verdict.what() + " " + verdict.reason() + " " + verdict.claims().getOrDefault("sub", ""));
    }
  }

  private static String plain(String encoded) {
    return new String(Base64.getDecoder().decode(encoded), StandardCharsets.UTF_8);
  }
}
