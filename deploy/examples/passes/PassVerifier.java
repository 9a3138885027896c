// Check passes of the ownership gateway without asking it. Java 17 or later, nothing to install.

import java.io.IOException;
import java.math.BigInteger;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.security.KeyFactory;
import java.security.Signature;
import java.security.interfaces.RSAPublicKey;
import java.security.spec.RSAPublicKeySpec;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Base64;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.DoubleSupplier;
import java.util.regex.Pattern;

/**
 * Checks passes with the keys and the list that were fetched last, however long ago: passes are short.
 *
 * Have {@code refresh} called every few seconds, in a thread of its own.
 */
public final class PassVerifier {
  private static final String ALG = "RS256";
  private static final String TYP = "ownership-pass+jwt";
  private static final Pattern FORM = Pattern.compile("[A-Za-z0-9_-]+\\.[A-Za-z0-9_-]+\\.[A-Za-z0-9_-]+");
  private static final Pattern SUBJECT = Pattern.compile("itch:[1-9][0-9]{0,15}|(key|email):[A-Za-z0-9_-]{12}");
  private static final Map<Object, Set<String>> LETS_IN = Map.of(
      "owned", Set.of("download_key", "purchase", "bundle_purchase", "web_purchase"),
      "granted", Set.of("seller_account", "operator_grant", "press"));
  private static final Set<String> ALWAYS =
      Set.of("iss", "aud", "sub", "iat", "exp", "jti", "game", "outcome", "reason", "method", "handles");
  private static final Set<String> SOMETIMES =
      Set.of("observed_at", "fresh_until", "usable_until", "evidence", "player_ref");
  private static final int LONGEST_PASS = 2048;
  private static final int SMALLEST_KEY_BITS = 2048;
  private static final int AHEAD_SECONDS = 60;
  private static final int LIST_EVERY_SECONDS = 30;
  private static final int KEYS_EVERY_SECONDS = 300;
  private static final int KEYS_AGAIN_SECONDS = 60;
  private static final Duration PATIENCE = Duration.ofSeconds(5);
  private static final int LONGEST_ANSWER_BYTES = 8 * 1024 * 1024;

  /**
   * What to do with the player ("in", "out", or "later" where no key was ever had), why, and the claims of one that is in.
   */
  public record Verdict(String what, String reason, Map<String, Object> claims) {}

  private interface Take {
    void from(Map<?, ?> answer) throws GeneralSecurityException;
  }

  // A redirect never comes from the gateway.
  private final HttpClient http =
      HttpClient.newBuilder().followRedirects(HttpClient.Redirect.NEVER).connectTimeout(PATIENCE).build();
  private final String gateway;
  private final String issuer;
  private final String audience;
  private final double game;
  private final DoubleSupplier now;
  private volatile Map<String, RSAPublicKey> keys = Map.of();
  private volatile Map<String, Double> voidBefore = Map.of();
  private volatile boolean missedKey;
  private double keysAskedAt = Double.NEGATIVE_INFINITY;
  private double listAskedAt = Double.NEGATIVE_INFINITY;

  /**
   * {@code issuer} is the gateway's {@code passes.issuer}, {@code audience} is {@code game:3/server-42} for passes for
   * this server alone, or {@code game:3}. {@code now} returns seconds since 1970: System.currentTimeMillis() / 1000.0.
   */
  public PassVerifier(String gateway, String issuer, String audience, DoubleSupplier now) {
    this.gateway = gateway.replaceFirst("/$", "");
    this.issuer = issuer;
    this.audience = audience;
    this.game = Integer.parseInt(audience.split("[:/]")[1]);
    this.now = now;
  }

  /** Checks a pass; if its key is not known, has the keys fetched, at most once a minute, and checks it again. */
  public Verdict admit(String text, String playerRef) {
    Verdict verdict = check(text, playerRef);
    if (!verdict.reason().equals("unknown_key") && !verdict.reason().equals("no_keys")) return verdict;
    refresh();
    return check(text, playerRef);
  }

  /** Checks a pass with what is here. {@code playerRef} is who is there, by the name that the lobby gave, or null. */
  public Verdict check(String text, String playerRef) {
    if (text.length() > LONGEST_PASS || !FORM.matcher(text).matches()) return out("malformed_pass");
    String[] parts = text.split("\\.");
    Map<String, Object> header;
    byte[] signature;
    try {
      header = objectIn(decode(parts[0]));
      decode(parts[1]);
      signature = decode(parts[2]);
    } catch (IllegalArgumentException malformed) {
      return out("malformed_pass");
    }
    boolean ours = ALG.equals(header.get("alg")) && TYP.equals(header.get("typ")) && header.size() == 3;
    if (!ours || !(header.get("kid") instanceof String kid)) return out("malformed_pass");
    if (keys.isEmpty()) return new Verdict("later", "no_keys", Map.of());
    RSAPublicKey key = keys.get(kid);
    if (key == null) {
      missedKey = true;
      return out("unknown_key");
    }
    if (!isSigned(parts[0] + "." + parts[1], signature, key)) return out("wrong_signature");
    Map<String, Object> claims;
    try {
      claims = objectIn(decode(parts[1]));
    } catch (IllegalArgumentException noClaims) {
      return out("no_pass");
    }
    String reason = faultIn(claims, playerRef);
    return reason == null ? new Verdict("in", "pass", claims) : out(reason);
  }

  /** Why claims that the gateway has signed let nobody in here; null if they do. */
  private String faultIn(Map<String, Object> claims, String playerRef) {
    if (!issuer.equals(claims.get("iss"))) return "other_issuer";
    if (!audience.equals(claims.get("aud"))) return "other_audience";
    if (!claims.containsKey("game") || !claims.get("game").equals(game)) return "other_game";
    if (!isPass(claims)) return "no_pass";
    if ((Double) claims.get("exp") <= now.getAsDouble()) return "expired_pass";
    if ((Double) claims.get("iat") > now.getAsDouble() + AHEAD_SECONDS) return "pass_of_the_future";
    if (claims.containsKey("player_ref") && !claims.get("player_ref").equals(playerRef)) return "other_player";
    return isVoid(claims) ? "void_pass" : null;
  }

  /** Whether a pass is in the list: ask again, after {@code refresh}, about those who are in. */
  public boolean isVoid(Map<String, Object> claims) {
    double decidedAt = (Double) claims.getOrDefault("observed_at", claims.get("iat"));
    return ((List<?>) claims.get("handles")).stream()
        .anyMatch(handle -> voidBefore.getOrDefault(handle, decidedAt) > decidedAt);
  }

  /** Fetches what is due; returns what could not be fetched, for the log. What was fetched before then stays. */
  public synchronized List<String> refresh() {
    List<String> failed = new ArrayList<>();
    double instant = now.getAsDouble();
    int keysAfter = missedKey || keys.isEmpty() ? KEYS_AGAIN_SECONDS : KEYS_EVERY_SECONDS;
    // By the distance, so that a clock that is set back does not stop it.
    if (Math.abs(instant - keysAskedAt) >= keysAfter) {
      keysAskedAt = instant;
      missedKey = false;
      fetchInto(this::takeKeys, "/.well-known/jwks.json", failed);
    }
    if (Math.abs(instant - listAskedAt) >= LIST_EVERY_SECONDS) {
      listAskedAt = instant;
      fetchInto(this::takeList, "/passes/invalidated", failed);
    }
    return failed;
  }

  private void fetchInto(Take take, String path, List<String> failed) {
    try {
      HttpRequest request = HttpRequest.newBuilder(URI.create(gateway + path)).timeout(PATIENCE).build();
      HttpResponse<java.io.InputStream> response = http.send(request, HttpResponse.BodyHandlers.ofInputStream());
      try (java.io.InputStream body = response.body()) {
        if (response.statusCode() != 200) throw new IOException("status " + response.statusCode());
        take.from(objectIn(body.readNBytes(LONGEST_ANSWER_BYTES)));
      }
    } catch (InterruptedException interrupted) {
      Thread.currentThread().interrupt();
      failed.add(path + ": " + interrupted);
    } catch (IOException | GeneralSecurityException | RuntimeException failure) {
      failed.add(path + ": " + failure); // whichever it is, what is here stays
    }
  }

  private void takeKeys(Map<?, ?> answer) throws GeneralSecurityException {
    Map<String, RSAPublicKey> found = new HashMap<>();
    for (Object one : (List<?>) answer.get("keys")) {
      Map<?, ?> jwk = (Map<?, ?>) one;
      if (!"RSA".equals(jwk.get("kty")) || !ALG.equals(jwk.get("alg"))) continue;
      BigInteger n = new BigInteger(1, decode((String) jwk.get("n")));
      BigInteger e = new BigInteger(1, decode((String) jwk.get("e")));
      if (n.bitLength() < SMALLEST_KEY_BITS) throw new IllegalArgumentException("a short key");
      RSAPublicKeySpec spec = new RSAPublicKeySpec(n, e);
      found.put((String) jwk.get("kid"), (RSAPublicKey) KeyFactory.getInstance("RSA").generatePublic(spec));
    }
    if (found.isEmpty()) throw new IllegalArgumentException("there are no keys in it");
    keys = Map.copyOf(found);
  }

  private void takeList(Map<?, ?> answer) {
    Map<String, Double> found = new HashMap<>();
    ((Map<?, ?>) answer.get("before")).forEach((handle, at) -> found.put((String) handle, (Double) at));
    voidBefore = Map.copyOf(found);
  }

  private static Verdict out(String reason) {
    return new Verdict("out", reason, Map.of());
  }

  /** Whether there are the claims of a pass, and no others: the same key might sign another kind of token one day. */
  private static boolean isPass(Map<String, Object> claims) {
    Set<String> others = new HashSet<>(claims.keySet());
    others.removeAll(ALWAYS);
    return claims.keySet().containsAll(ALWAYS)
        && SOMETIMES.containsAll(others)
        && claims.get("sub") instanceof String subject
        && SUBJECT.matcher(subject).matches()
        && isWhole(claims.get("iat"))
        && isWhole(claims.get("exp"))
        && claims.getOrDefault("observed_at", 0.0) instanceof Double
        && LETS_IN.getOrDefault(claims.get("outcome"), Set.of()).contains(String.valueOf(claims.get("reason")))
        && claims.get("handles") instanceof List<?> handles
        && !handles.isEmpty()
        && handles.stream().allMatch(handle -> handle instanceof String);
  }

  private static boolean isWhole(Object value) {
    return value instanceof Double number && number == Math.rint(number);
  }

  /** RS256, whatever the header says. */
  private static boolean isSigned(String text, byte[] signature, RSAPublicKey key) {
    try {
      Signature verifier = Signature.getInstance("SHA256withRSA");
      verifier.initVerify(key);
      verifier.update(text.getBytes(StandardCharsets.US_ASCII));
      return verifier.verify(signature);
    } catch (GeneralSecurityException wrongLength) {
      return false;
    }
  }

  /** The bytes of base64url in its one spelling: others decode to the same bytes. */
  private static byte[] decode(String part) {
    byte[] raw = Base64.getUrlDecoder().decode(part);
    if (!Base64.getUrlEncoder().withoutPadding().encodeToString(raw).equals(part)) throw new IllegalArgumentException();
    return raw;
  }

  private static Map<String, Object> objectIn(byte[] utf8) {
    try {
      Object value = new Json(StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(utf8)).toString()).whole();
      if (!(value instanceof Map<?, ?> object)) throw new IllegalArgumentException("no JSON object");
      Map<String, Object> named = new LinkedHashMap<>();
      object.forEach((name, member) -> named.put((String) name, member));
      return named;
    } catch (CharacterCodingException noText) {
      throw new IllegalArgumentException("no UTF-8", noText);
    }
  }

  /** Reads JSON, for which Java has nothing; take your own library in its place. Numbers are doubles, null is NOTHING. */
  private static final class Json {
    private static final Object NOTHING = new Object();
    private static final int DEEPEST = 20;
    private static final Pattern NUMBER = Pattern.compile("-?(0|[1-9][0-9]*)(\\.[0-9]+)?([eE][+-]?[0-9]+)?");
    private static final Pattern TEXT = Pattern.compile("\"((?:[^\"\\\\\\x00-\\x1f]|\\\\(?:[\"\\\\/bfnrt]|u[0-9a-fA-F]{4}))*+)\"");
    private static final Pattern ESCAPE = Pattern.compile("\\\\(?:u(....)|(.))");
    private final String text;
    private int at;

    Json(String text) {
      this.text = text;
    }

    Object whole() {
      Object value = value(0);
      if (skip() < text.length()) throw new IllegalArgumentException("more than JSON");
      return value;
    }

    private Object value(int depth) {
      if (depth > DEEPEST) throw new IllegalArgumentException("too deep");
      if (takes("{")) return object(depth);
      if (takes("[")) return list(depth);
      if (takes("true")) return Boolean.TRUE;
      if (takes("false")) return Boolean.FALSE;
      if (takes("null")) return NOTHING;
      return at < text.length() && text.charAt(at) == '"' ? text() : (Object) Double.valueOf(next(NUMBER));
    }

    private Map<String, Object> object(int depth) {
      Map<String, Object> members = new LinkedHashMap<>();
      if (takes("}")) return members;
      do {
        skip();
        String name = text();
        if (!takes(":")) throw new IllegalArgumentException("no colon");
        if (members.put(name, value(depth + 1)) != null) throw new IllegalArgumentException("a name twice");
      } while (takes(","));
      if (!takes("}")) throw new IllegalArgumentException("no end of an object");
      return members;
    }

    private List<Object> list(int depth) {
      List<Object> items = new ArrayList<>();
      if (takes("]")) return items;
      do items.add(value(depth + 1)); while (takes(","));
      if (!takes("]")) throw new IllegalArgumentException("no end of a list");
      return items;
    }

    private String text() {
      String quoted = next(TEXT);
      return ESCAPE.matcher(quoted.substring(1, quoted.length() - 1)).replaceAll(found -> {
        String one = found.group(1) != null
            ? String.valueOf((char) Integer.parseInt(found.group(1), 16))
            : String.valueOf("\"\\/\b\f\n\r\t".charAt("\"\\/bfnrt".indexOf(found.group(2))));
        return java.util.regex.Matcher.quoteReplacement(one);
      });
    }

    private String next(Pattern pattern) {
      var found = pattern.matcher(text).region(at, text.length());
      if (!found.lookingAt()) throw new IllegalArgumentException("no JSON");
      at = found.end();
      return found.group();
    }

    private boolean takes(String token) {
      if (!text.startsWith(token, skip())) return false;
      at += token.length();
      return true;
    }

    private int skip() {
      while (at < text.length() && " \t\r\n".indexOf(text.charAt(at)) >= 0) at++;
      return at;
    }
  }
}
