import java.io.IOException;
import java.math.BigInteger;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.charset.StandardCharsets;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * The next prime number, on the native runtime API, with the JDK alone: {@code java NextPrime.java} needs no build.
 *
 * <p>GET /next-prime/{number} answers {"number": ..., "next": ...}
 */
class NextPrime {
    private static final Pattern ID = Pattern.compile("(?im)^Execgate-Invocation-Id: *(\\S+)");
    private static final Pattern NUMBER = Pattern.compile("(?im)^Execgate-Parameters: *number=(\\d{1,100})$");
    private static final HttpClient CLIENT = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
    private static final String API = System.getenv("EXECGATE_RUNTIME_API") + "/v1";

    /** The event's head is text; its fields are in docs/runtime-api.md. */
    static String answer(String head) {
        Matcher number = NUMBER.matcher(head);
        if (!number.find()) return message(400, "{\"title\":\"Ask for a number of at most 100 digits\"}\n");
        BigInteger n = new BigInteger(number.group(1));
        return message(200, "{\"number\":" + n + ",\"next\":" + n.nextProbablePrime() + "}\n");
    }

    /** An answer is an HTTP message, which the body of the call carries. */
    static String message(int status, String json) {
        int size = json.getBytes(StandardCharsets.UTF_8).length;
        return "HTTP/1.1 " + status + " \r\nContent-Type: application/json\r\nContent-Length: " + size + "\r\n\r\n" + json;
    }

    static HttpResponse<String> send(HttpRequest.Builder request) throws IOException, InterruptedException {
        return CLIENT.send(request.build(), BodyHandlers.ofString());
    }

    public static void main(String[] arguments) throws IOException, InterruptedException {
        while (true) {
            HttpResponse<String> next = send(HttpRequest.newBuilder(URI.create(API + "/next"))); // waits until there is one
            if (next.statusCode() != 200) return; // no more will come
            String head = next.body().split("\r\n\r\n", 2)[0] + "\r\n";
            Matcher id = ID.matcher(head);
            if (!id.find()) throw new IOException("an event without an id");
            URI response = URI.create(API + "/invocations/" + id.group(1) + "/response");
            send(HttpRequest.newBuilder(response).POST(BodyPublishers.ofString(answer(head))));
        }
    }
}
