// Ask the ownership gateway whether a player may enter. For .NET, Mono and Unity servers (C# 7, .NET Standard 2.0);
// nothing to install.

using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.IO;
using System.Net.Http;
using System.Runtime.Serialization;
using System.Runtime.Serialization.Json;
using System.Text;
using System.Text.RegularExpressions;
using System.Threading;
using System.Threading.Tasks;

public enum Entry { In, Out, OtherCredential, Later, Misconfigured }

public sealed class Verdict
{
    public readonly Entry Entry;
    public readonly string Reason;
    public readonly double WaitSeconds;
    public readonly string Advice; // What the player can do; null where there is none.
    public readonly string SupportCode; // Finds the story; null where there is none.

    public Verdict(Entry entry, string reason, double waitSeconds = 0, string advice = null, string supportCode = null)
    {
        Entry = entry;
        Reason = reason;
        WaitSeconds = waitSeconds;
        Advice = advice;
        SupportCode = supportCode;
    }

    // Put them into the words and languages of your game; a code that is not here has no sentence.
    private static readonly Dictionary<string, string> Sentences = new Dictionary<string, string>
    {
        { "open_game_once", "If you bought a bundle: open the game's page on itch.io once, while you are logged in. Then try again in a minute." },
        { "use_itch_login", "Start the game from the itch.io app, or paste your download key: your purchase is not found by this address." },
        { "copy_key_again", "Copy the download link once more, from the e-mail of your purchase or from your library on itch.io." },
        { "open_game_from_bundle", "This is the link of a bundle: open the game from it, and paste the link that you find there." },
        { "restart_from_app", "Start the game again from the itch.io app." },
        { "open_redeem_link_again", "Open the link once more by which itch.io redeems your purchase." },
        { "sign_in_again", "Sign in once more: start the game from the itch.io app, or paste your download key." },
        { "revoke_api_key", "This is your personal API key, which gives away your account: revoke it in your settings on itch.io, and show it to no game." },
        { "verify_address", "Verify your e-mail address first." },
        { "try_again", "Your purchase cannot be checked at the moment. Try again in a minute." },
    };

    // For the player who is not let in; empty if there is nothing to say.
    public string ShownToPlayer()
    {
        string sentence;
        Sentences.TryGetValue(Advice ?? "", out sentence);
        var code = SupportCode == null ? null : "Support code: " + SupportCode;
        return sentence == null || code == null ? sentence ?? code ?? "" : sentence + " " + code;
    }
}

// One for the whole server.
public sealed class OwnershipGateway
{
    private const double NoAnswerWaitSeconds = 2;
    private const double LongestWaitSeconds = 60;
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(5);
    private static readonly Verdict NoAnswer = new Verdict(Entry.Later, "no_usable_answer", NoAnswerWaitSeconds);

    private static readonly Regex GatewayUrl =
        new Regex(@"\Ahttps?://([A-Za-z0-9_.-]+|\[[0-9a-fA-F:.]+\])(:0*[1-9][0-9]{0,4})?/?\z");

    private readonly HttpClient http;
    private readonly string gateway;
    private readonly string token;
    private readonly Random random = new Random();

    // The URL is http://… or https://…; which certificates are trusted, the system says.
    public OwnershipGateway(string gateway, string token)
    {
        Uri url;
        if (!GatewayUrl.IsMatch(gateway) || !Uri.TryCreate(gateway, UriKind.Absolute, out url))
            throw new ArgumentException("GATEWAY is no URL such as http://127.0.0.1:8080 or https://gateway.example");
        // A redirect never comes from the gateway, and would carry the credential elsewhere.
        http = new HttpClient(new HttpClientHandler { AllowAutoRedirect = false, UseProxy = false }) { Timeout = Patience };
        this.gateway = gateway.TrimEnd('/');
        this.token = token;
    }

    // The question is JSON: serialize it, do not glue it together from what a player typed.
    public async Task<Verdict> AskAsync(string path, string question, CancellationToken stop = default(CancellationToken))
    {
        using (var waited = CancellationTokenSource.CreateLinkedTokenSource(stop))
        {
            var asked = AskOnceAsync(path, question, stop);
            // HttpClient's own Timeout is not enough: Mono's does not look at it while it connects (mono/mono#20971).
            var first = await Task.WhenAny(asked, Task.Delay(Patience, waited.Token)).ConfigureAwait(false);
            waited.Cancel();
            stop.ThrowIfCancellationRequested();
            return first == asked ? await asked.ConfigureAwait(false) : NoAnswer;
        }
    }

    private async Task<Verdict> AskOnceAsync(string path, string question, CancellationToken stop)
    {
        int status;
        Answer answer;
        try
        {
            using (var request = new HttpRequestMessage(HttpMethod.Post, gateway + path))
            {
                request.Content = new StringContent(question, Encoding.UTF8, "application/json");
                if (!string.IsNullOrEmpty(token)) request.Headers.Add("Authorization", "Bearer " + token);
                using (var response = await http.SendAsync(request, stop).ConfigureAwait(false))
                {
                    status = (int)response.StatusCode;
                    var body = await response.Content.ReadAsByteArrayAsync().ConfigureAwait(false);
                    answer = (Answer)new DataContractJsonSerializer(typeof(Answer)).ReadObject(new MemoryStream(body));
                }
            }
        }
        catch (Exception) when (!stop.IsCancellationRequested)
        {
            return NoAnswer; // Refused, reset, timed out, or not JSON.
        }
        if (answer == null) return NoAnswer;

        if (status == 200) return VerdictOf(answer);
        var code = answer.code ?? "status_" + status;
        if (status == 429 || status >= 500) return new Verdict(Entry.Later, code, SecondsIn(answer), answer.advice, answer.decision_id);
        return new Verdict(Entry.Misconfigured, code, LongestWaitSeconds);
    }

    // Keeps the player waiting until there is an answer or the patience is over: then Later, and nothing is granted.
    public async Task<Verdict> MayEnterAsync(
        string path, string question, TimeSpan patience, Action<Verdict> keepWaiting = null,
        CancellationToken stop = default(CancellationToken))
    {
        var since = Stopwatch.StartNew();
        while (true)
        {
            var verdict = await AskAsync(path, question, stop).ConfigureAwait(false);
            double share;
            lock (random) share = random.NextDouble();
            // A quarter more, at random, so that players who wait together do not come back together.
            var wait = TimeSpan.FromSeconds(verdict.WaitSeconds * (1 + share / 4));
            if (verdict.Entry != Entry.Later || since.Elapsed + wait > patience) return verdict;
            if (keepWaiting != null) keepWaiting(verdict);
            await Task.Delay(wait, stop).ConfigureAwait(false);
        }
    }

    // What a 200 means; all that is not exactly as documented is no answer.
    private static Verdict VerdictOf(Answer answer)
    {
        if (!(answer.allowed is bool)) return NoAnswer;
        var allowed = (bool)answer.allowed;
        if (allowed && (answer.outcome == "owned" || answer.outcome == "granted"))
            return new Verdict(Entry.In, answer.reason);
        if (!allowed && (answer.outcome == "not_owned" || answer.outcome == "banned"))
            return new Verdict(Entry.Out, answer.reason, 0, answer.advice, answer.decision_id);
        if (!allowed && answer.outcome == "rejected")
            return new Verdict(Entry.OtherCredential, answer.reason, 0, answer.advice, answer.decision_id);
        return NoAnswer;
    }

    // How long the gateway wants to be left alone, which is at least a second.
    private static double SecondsIn(Answer answer)
    {
        if (answer.retry_after_seconds == null) return NoAnswerWaitSeconds;
        return Math.Min(Math.Max(answer.retry_after_seconds.Value, 1), LongestWaitSeconds);
    }

#pragma warning disable 0649 // Set by the serializer.
    [DataContract]
    private sealed class Answer
    {
        [DataMember] public object allowed; // As bool it would also take 1.
        [DataMember] public string outcome;
        [DataMember] public string reason;
        [DataMember] public string code;
        [DataMember] public double? retry_after_seconds;
        [DataMember] public string advice;
        [DataMember] public string decision_id;
    }
#pragma warning restore 0649
}
