// From a terminal: PROGRAM /verify/download-key '{"game": 3, "download_key": "…"}' [SECONDS]

using System;
using System.Globalization;

public static class Program
{
    public static int Main(string[] arguments)
    {
        OwnershipGateway gateway;
        try
        {
            gateway = new OwnershipGateway(
                Environment.GetEnvironmentVariable("GATEWAY") ?? "http://127.0.0.1:8080",
                Environment.GetEnvironmentVariable("CALLER_TOKEN"));
        }
        catch (ArgumentException mistake)
        {
            Console.Error.WriteLine("error: " + mistake.Message);
            return 1;
        }
        var seconds = arguments.Length > 2 ? double.Parse(arguments[2], CultureInfo.InvariantCulture) : 120;
        var verdict = gateway.MayEnterAsync(
            arguments[0], arguments[1], TimeSpan.FromSeconds(seconds),
            waiting => Show("waiting", waiting)).GetAwaiter().GetResult();
        Show(Spell(verdict.Entry), verdict);
        // Returning would wait for idle threads of the pool: Mono then takes up to a minute to end (mono/mono#9000).
        Environment.Exit(0);
        return 0;
    }

    private static void Show(string what, Verdict verdict)
    {
        Console.WriteLine(what + "\t" + verdict.Reason + "\t" + verdict.ShownToPlayer());
    }

    private static string Spell(Entry entry)
    {
        return entry == Entry.OtherCredential ? "other credential" : entry.ToString().ToLowerInvariant();
    }
}
