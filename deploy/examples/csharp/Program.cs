// From a terminal: PROGRAM /verify/download-key '{"game": 3, "download_key": "…"}' [SECONDS]

using System;
using System.Globalization;

public static class Program
{
    public static int Main(string[] arguments)
    {
        var gateway = new OwnershipGateway(
            Environment.GetEnvironmentVariable("GATEWAY") ?? "127.0.0.1:8080",
            Environment.GetEnvironmentVariable("CALLER_TOKEN"));
        var seconds = arguments.Length > 2 ? double.Parse(arguments[2], CultureInfo.InvariantCulture) : 120;
        var verdict = gateway.MayEnterAsync(
            arguments[0], arguments[1], TimeSpan.FromSeconds(seconds),
            reason => Console.WriteLine("waiting " + reason)).GetAwaiter().GetResult();
        Console.WriteLine(Spell(verdict.Entry) + "\t" + verdict.Reason);
        // Returning would wait for idle threads of the pool: Mono then takes up to a minute to end (mono/mono#9000).
        Environment.Exit(0);
        return 0;
    }

    private static string Spell(Entry entry)
    {
        return entry == Entry.OtherCredential ? "other credential" : entry.ToString().ToLowerInvariant();
    }
}
