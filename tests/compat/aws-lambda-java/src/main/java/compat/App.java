package compat;

import com.amazonaws.services.lambda.runtime.Context;
import com.amazonaws.services.lambda.runtime.RequestHandler;
import java.util.Base64;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** A handler on Java's runtime interface client. */
public final class App implements RequestHandler<Map<String, Object>, Map<String, Object>> {
    public App() {
        Runtime.getRuntime().addShutdownHook(new Thread(() -> System.out.println("SIGTERM seen")));
    }

    @Override
    public Map<String, Object> handleRequest(Map<String, Object> event, Context context) {
        Object note = member(event, "headers").get("x-note");
        if (note != null) {
            System.out.println("note: " + note);
        }
        String path = (String) event.get("rawPath");
        return switch (path.substring(path.lastIndexOf('/') + 1)) {
            case "echo" -> Map.of("statusCode", 200, "headers", Map.of("Content-Type", "text/plain"), "body", event.getOrDefault("body", ""));
            case "api" -> api(event);
            case "binary" -> reversed(event);
            case "error" -> throw new IllegalStateException("refused by the handler");
            case "panic" -> throw new StackOverflowError("broken in the handler");
            case "exit" -> leave();
            case "timeout" -> late(context);
            default -> Map.of("statusCode", 404);
        };
    }

    @SuppressWarnings("unchecked")
    private static Map<String, Object> member(Map<String, Object> object, String name) {
        return (Map<String, Object>) object.get(name);
    }

    private static Map<String, Object> api(Map<String, Object> event) {
        Map<String, Object> http = member(member(event, "requestContext"), "http");
        Map<String, Object> seen = new LinkedHashMap<>();
        seen.put("method", http.get("method"));
        seen.put("path", event.get("rawPath"));
        seen.put("query", event.get("rawQueryString"));
        seen.put("cookies", event.get("cookies"));
        seen.put("color", member(event, "headers").get("x-color"));
        seen.put("body", event.get("body"));
        return Map.of("statusCode", 201, "headers", Map.of("Content-Type", "application/json", "X-Answer", "made by a handler"),
                "cookies", List.of("first=1; Path=/", "second=2"), "body", Json.write(seen));
    }

    private static Map<String, Object> reversed(Map<String, Object> event) {
        byte[] data = Base64.getDecoder().decode((String) event.get("body"));
        for (int i = 0, j = data.length - 1; i < j; i++, j--) {
            byte kept = data[i];
            data[i] = data[j];
            data[j] = kept;
        }
        return Map.of("statusCode", 200, "headers", Map.of("Content-Type", "application/octet-stream"),
                "isBase64Encoded", true, "body", Base64.getEncoder().encodeToString(data));
    }

    private static Map<String, Object> leave() {
        System.err.println("last words");
        Runtime.getRuntime().halt(7);
        return null;
    }

    private static Map<String, Object> late(Context context) {
        System.out.println("left: " + context.getRemainingTimeInMillis() + " ms");
        try {
            Thread.sleep(context.getRemainingTimeInMillis() + 60_000L);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
        return Map.of("statusCode", 200, "body", "too late");
    }
}
