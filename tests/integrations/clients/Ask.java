import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublisher;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.charset.StandardCharsets;
import java.time.Duration;

/**
 * Asks about users one after the other with the client that Java comes with, as it is by default: it offers HTTP/2 by Upgrade.
 *
 * Arguments: address, token, "known" or "streamed", users. Prints a line for each: status, a tab, the body.
 */
public final class Ask {
    public static void main(String[] arguments) throws InterruptedException {
        URI address = URI.create(arguments[0] + "/verify/user");
        HttpClient client = HttpClient.newHttpClient();
        for (int at = 3; at < arguments.length; at++) {
            byte[] question = ("{\"game\":3,\"user_id\":" + arguments[at] + "}").getBytes(StandardCharsets.UTF_8);
            BodyPublisher body = arguments[2].equals("streamed")
                ? BodyPublishers.ofInputStream(() -> new ByteArrayInputStream(question))
                : BodyPublishers.ofByteArray(question);
            HttpRequest request = HttpRequest.newBuilder(address)
                .header("Content-Type", "application/json")
                .header("Authorization", "Bearer " + arguments[1])
                .timeout(Duration.ofSeconds(10))
                .POST(body)
                .build();
            try {
                HttpResponse<String> response = client.send(request, BodyHandlers.ofString());
                System.out.println(response.statusCode() + "\t" + response.body());
            } catch (IOException error) {
                System.out.println("0\t" + error);
            }
        }
    }
}
