// Checks the passes on standard input: `now TAB refresh`, or `now TAB admit TAB player TAB pass`, the last two in base64.

using System;
using System.Globalization;
using System.Text;

public static class Check
{
    private static double clock;

    public static void Main(string[] arguments)
    {
        var verifier = new PassVerifier(arguments[0], arguments[1], arguments[2], () => clock);
        for (var line = Console.ReadLine(); line != null; line = Console.ReadLine())
        {
            var words = line.Split('\t');
            clock = double.Parse(words[0], CultureInfo.InvariantCulture);
            if (words[1] == "refresh")
            {
                Console.WriteLine("refreshed " + verifier.RefreshAsync().GetAwaiter().GetResult().Count);
                continue;
            }
            var player = Plain(words[2]);
            var verdict = verifier.AdmitAsync(Plain(words[3]), player == "" ? null : player).GetAwaiter().GetResult();
            Console.WriteLine(verdict.What + " " + verdict.Reason + " " + (verdict.Claims == null ? "" : verdict.Claims.Subject));
        }
        Environment.Exit(0);
    }

    private static string Plain(string encoded)
    {
        return Encoding.UTF8.GetString(Convert.FromBase64String(encoded));
    }
}
