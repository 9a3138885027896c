// Check passes of the ownership gateway without asking it. For .NET, Mono and Unity servers (C# 7, .NET Standard 2.0);
// nothing to install.

using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using System.Net;
using System.Net.Http;
using System.Runtime.Serialization.Json;
using System.Security.Cryptography;
using System.Text;
using System.Text.RegularExpressions;
using System.Threading.Tasks;
using System.Xml;

public sealed class PassVerdict
{
    public readonly string What; // What to do with the player: "in", "out", or "later" where no key was ever had.
    public readonly string Reason;
    public readonly PassClaims Claims; // Of one that is in, else null.

    public PassVerdict(string what, string reason, PassClaims claims = null)
    {
        What = what;
        Reason = reason;
        Claims = claims;
    }
}

public sealed class PassClaims
{
    public readonly string Subject;
    public readonly double DecidedAt;
    public readonly string[] Handles;

    public PassClaims(string subject, double decidedAt, string[] handles)
    {
        Subject = subject;
        DecidedAt = decidedAt;
        Handles = handles;
    }
}

// Checks passes with the keys and the list that were fetched last, however long ago: passes are short.
// Have RefreshAsync called every few seconds.
public sealed class PassVerifier
{
    private const string Alg = "RS256";
    private const string Typ = "ownership-pass+jwt";
    private const int LongestPass = 2048;
    private const int SmallestKeyBytes = 256;
    private const int AheadSeconds = 60;
    private const int ListEverySeconds = 30;
    private const int KeysEverySeconds = 300;
    private const int KeysAgainSeconds = 60;
    private const int LongestAnswerBytes = 8 * 1024 * 1024;
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(5);
    private static readonly Regex Form = new Regex(@"\A[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\z");
    private static readonly Regex Subject = new Regex(@"\A(itch:[1-9][0-9]{0,15}|(key|email):[A-Za-z0-9_-]{12})\z");
    private static readonly Dictionary<string, string[]> LetsIn = new Dictionary<string, string[]>
    {
        { "owned", new[] { "download_key", "purchase", "bundle_purchase", "web_purchase" } },
        { "granted", new[] { "seller_account", "operator_grant", "press" } },
    };
    private static readonly string[] Always =
        { "iss", "aud", "sub", "iat", "exp", "jti", "game", "outcome", "reason", "method", "handles" };
    private static readonly string[] Sometimes =
        { "observed_at", "fresh_until", "usable_until", "evidence", "player_ref" };

    private readonly HttpClient http;
    private readonly string gateway;
    private readonly string issuer;
    private readonly string audience;
    private readonly long game;
    private readonly Func<double> now;
    private volatile Dictionary<string, RSAParameters> keys = new Dictionary<string, RSAParameters>();
    private volatile Dictionary<string, double> voidBefore = new Dictionary<string, double>();
    private volatile bool missedKey;
    private double keysAskedAt = double.NegativeInfinity;
    private double listAskedAt = double.NegativeInfinity;

    // The issuer is the gateway's passes.issuer, the audience "game:3/server-42" for passes for this server alone, or
    // "game:3". `now` returns seconds since 1970: DateTimeOffset.UtcNow.ToUnixTimeMilliseconds() / 1000.0.
    public PassVerifier(string gateway, string issuer, string audience, Func<double> now)
    {
        // A redirect never comes from the gateway.
        http = new HttpClient(new HttpClientHandler { AllowAutoRedirect = false, UseProxy = false })
        {
            Timeout = Patience,
            MaxResponseContentBufferSize = LongestAnswerBytes,
        };
        this.gateway = gateway.TrimEnd('/');
        this.issuer = issuer;
        this.audience = audience;
        this.now = now;
        game = long.Parse(audience.Split(':', '/')[1], NumberStyles.None, CultureInfo.InvariantCulture);
    }

    // Checks a pass; if its key is not known, has the keys fetched, at most once a minute, and checks it again.
    public async Task<PassVerdict> AdmitAsync(string text, string playerRef)
    {
        var verdict = Check(text, playerRef);
        if (verdict.Reason != "unknown_key" && verdict.Reason != "no_keys") return verdict;
        await RefreshAsync().ConfigureAwait(false);
        return Check(text, playerRef);
    }

    // Checks a pass with what is here. `playerRef` is who is there, by the name that the lobby gave, or null.
    public PassVerdict Check(string text, string playerRef)
    {
        if (text.Length > LongestPass || !Form.IsMatch(text)) return Out("malformed_pass");
        var parts = text.Split('.');
        var header = ObjectIn(Decode(parts[0]));
        var payload = Decode(parts[1]);
        var signature = Decode(parts[2]);
        if (header == null || payload == null || signature == null) return Out("malformed_pass");
        var kid = TextOf(header, "kid");
        if (header.Count != 3 || TextOf(header, "alg") != Alg || TextOf(header, "typ") != Typ || kid == null)
            return Out("malformed_pass");
        if (keys.Count == 0) return new PassVerdict("later", "no_keys");
        RSAParameters key;
        if (!keys.TryGetValue(kid, out key))
        {
            missedKey = true;
            return Out("unknown_key");
        }
        if (!IsSigned(parts[0] + "." + parts[1], signature, key)) return Out("wrong_signature");
        var claims = ObjectIn(payload);
        if (claims == null) return Out("no_pass");
        return Judge(claims, playerRef);
    }

    // Whether claims that the gateway has signed let somebody in here.
    private PassVerdict Judge(Dictionary<string, XmlElement> claims, string playerRef)
    {
        if (TextOf(claims, "iss") != issuer) return Out("other_issuer");
        if (TextOf(claims, "aud") != audience) return Out("other_audience");
        if (NumberOf(claims, "game") != game) return Out("other_game");
        if (!IsPass(claims)) return Out("no_pass");
        if (NumberOf(claims, "exp") <= now()) return Out("expired_pass");
        if (NumberOf(claims, "iat") > now() + AheadSeconds) return Out("pass_of_the_future");
        if (claims.ContainsKey("player_ref") && TextOf(claims, "player_ref") != playerRef) return Out("other_player");
        var pass = new PassClaims(
            TextOf(claims, "sub"),
            NumberOf(claims, claims.ContainsKey("observed_at") ? "observed_at" : "iat").Value,
            Children(claims["handles"]).Select(handle => handle.InnerText).ToArray());
        return IsVoid(pass) ? Out("void_pass") : new PassVerdict("in", "pass", pass);
    }

    // Whether a pass is in the list: ask again, after RefreshAsync, about those who are in.
    public bool IsVoid(PassClaims claims)
    {
        var before = voidBefore;
        return claims.Handles.Any(handle => before.ContainsKey(handle) && before[handle] > claims.DecidedAt);
    }

    // Fetches what is due; returns what could not be fetched, for the log. What was fetched before then stays.
    public async Task<List<string>> RefreshAsync()
    {
        var failed = new List<string>();
        var instant = now();
        var keysAfter = missedKey || keys.Count == 0 ? KeysAgainSeconds : KeysEverySeconds;
        // By the distance, so that a clock that is set back does not stop it.
        if (Math.Abs(instant - keysAskedAt) >= keysAfter)
        {
            keysAskedAt = instant;
            missedKey = false;
            await FetchIntoAsync(TakeKeys, "/.well-known/jwks.json", failed).ConfigureAwait(false);
        }
        if (Math.Abs(instant - listAskedAt) >= ListEverySeconds)
        {
            listAskedAt = instant;
            await FetchIntoAsync(TakeList, "/passes/invalidated", failed).ConfigureAwait(false);
        }
        return failed;
    }

    private async Task FetchIntoAsync(Action<Dictionary<string, XmlElement>> take, string path, List<string> failed)
    {
        try
        {
            var asked = http.GetAsync(gateway + path);
            // HttpClient's own Timeout is not enough: Mono's does not look at it while it connects (mono/mono#20971).
            if (await Task.WhenAny(asked, Task.Delay(Patience)).ConfigureAwait(false) != asked) throw new TimeoutException();
            using (var response = await asked.ConfigureAwait(false))
            {
                if (response.StatusCode != HttpStatusCode.OK) throw new HttpRequestException("status " + (int)response.StatusCode);
                take(ObjectIn(await response.Content.ReadAsByteArrayAsync().ConfigureAwait(false)));
            }
        }
        catch (Exception failure)
        {
            failed.Add(path + ": " + failure.Message); // Whichever it is, what is here stays.
        }
    }

    private void TakeKeys(Dictionary<string, XmlElement> answer)
    {
        var found = new Dictionary<string, RSAParameters>();
        foreach (var jwk in Children(answer["keys"]).Select(Members))
        {
            if (TextOf(jwk, "kty") != "RSA" || TextOf(jwk, "alg") != Alg) continue;
            var key = new RSAParameters { Modulus = Decode(TextOf(jwk, "n")), Exponent = Decode(TextOf(jwk, "e")) };
            if (key.Modulus.Length < SmallestKeyBytes) throw new FormatException("a short key");
            found.Add(TextOf(jwk, "kid"), key);
        }
        if (found.Count == 0) throw new FormatException("there are no keys in it");
        keys = found;
    }

    private void TakeList(Dictionary<string, XmlElement> answer)
    {
        if (!Is(answer["before"], "object")) throw new FormatException("it is no list");
        var before = Members(answer["before"]);
        voidBefore = before.Keys.ToDictionary(handle => handle, handle => NumberOf(before, handle).Value);
    }

    private static PassVerdict Out(string reason)
    {
        return new PassVerdict("out", reason);
    }

    // Whether there are the claims of a pass, and no others: the same key might sign another kind of token one day.
    private static bool IsPass(Dictionary<string, XmlElement> claims)
    {
        string[] reasons;
        return Always.All(claims.ContainsKey)
            && claims.Keys.All(name => Always.Contains(name) || Sometimes.Contains(name))
            && Subject.IsMatch(TextOf(claims, "sub") ?? "")
            && IsWhole(claims, "iat")
            && IsWhole(claims, "exp")
            && (!claims.ContainsKey("observed_at") || NumberOf(claims, "observed_at") != null)
            && LetsIn.TryGetValue(TextOf(claims, "outcome") ?? "", out reasons)
            && reasons.Contains(TextOf(claims, "reason"))
            && Is(claims["handles"], "array")
            && Children(claims["handles"]).Any()
            && Children(claims["handles"]).All(handle => Is(handle, "string"));
    }

    private static bool IsWhole(Dictionary<string, XmlElement> claims, string name)
    {
        var number = NumberOf(claims, name);
        return number != null && number == Math.Floor(number.Value);
    }

    // RS256, whatever the header says.
    private static bool IsSigned(string text, byte[] signature, RSAParameters key)
    {
        using (var rsa = RSA.Create())
        {
            rsa.ImportParameters(key);
            try
            {
                return rsa.VerifyData(
                    Encoding.ASCII.GetBytes(text), signature, HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1);
            }
            catch (CryptographicException)
            {
                return false; // Of another length.
            }
        }
    }

    // The bytes of base64url, null if it is none, or not in its one spelling: others decode to the same bytes.
    private static byte[] Decode(string part)
    {
        try
        {
            var raw = Convert.FromBase64String(part.Replace('-', '+').Replace('_', '/') + new string('=', (4 - part.Length % 4) % 4));
            var spelt = Convert.ToBase64String(raw).TrimEnd('=').Replace('+', '-').Replace('/', '_');
            return spelt == part ? raw : null;
        }
        catch (FormatException)
        {
            return null;
        }
    }

    // The members of a JSON object, null if it is none.
    private static Dictionary<string, XmlElement> ObjectIn(byte[] json)
    {
        if (json == null) return null;
        try
        {
            var text = new UTF8Encoding(false, true).GetString(json);
            // .NET reads JSON as if it were XML, with the type of each value in an attribute.
            var quotas = new XmlDictionaryReaderQuotas { MaxDepth = 20, MaxStringContentLength = LongestAnswerBytes };
            using (var reader = JsonReaderWriterFactory.CreateJsonReader(Encoding.UTF8.GetBytes(text), quotas))
            {
                var document = new XmlDocument();
                document.Load(reader);
                return Is(document.DocumentElement, "object") ? Members(document.DocumentElement) : null;
            }
        }
        catch (Exception failure) when (failure is XmlException || failure is ArgumentException || failure is FormatException)
        {
            return null; // No JSON, no UTF-8, or a name twice.
        }
    }

    private static Dictionary<string, XmlElement> Members(XmlElement json)
    {
        // A name that XML does not allow, such as one with a digit at its beginning, is in the attribute `item`.
        return Children(json).ToDictionary(member => member.HasAttribute("item") ? member.GetAttribute("item") : member.LocalName);
    }

    private static IEnumerable<XmlElement> Children(XmlElement json)
    {
        return json.ChildNodes.OfType<XmlElement>();
    }

    private static bool Is(XmlElement json, string type)
    {
        return (json.HasAttribute("type") ? json.GetAttribute("type") : "string") == type;
    }

    private static string TextOf(Dictionary<string, XmlElement> json, string name)
    {
        XmlElement value;
        return json.TryGetValue(name, out value) && Is(value, "string") ? value.InnerText : null;
    }

    private static double? NumberOf(Dictionary<string, XmlElement> json, string name)
    {
        XmlElement value;
        double number;
        if (!json.TryGetValue(name, out value) || !Is(value, "number")) return null;
        if (!double.TryParse(value.InnerText, NumberStyles.Float, CultureInfo.InvariantCulture, out number)) return null;
        return double.IsNaN(number) || double.IsInfinity(number) ? (double?)null : number;
    }
}
