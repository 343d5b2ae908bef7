import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import java.util.concurrent.ConcurrentSkipListMap;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.atomic.AtomicLong;
import java.util.stream.Collectors;

/**
 * A small HTTP service with nothing but the JDK: notes that are kept in memory, in JSON, and a health check.
 *
 * <pre>
 * GET    /health       {"status":"up"}
 * GET    /status       uptime, requests, memory
 * GET    /notes        all notes
 * POST   /notes        makes a note of the body (text, at most 4 KiB); 201 and the note
 * GET    /notes/ID     one of them
 * DELETE /notes/ID     204
 * </pre>
 *
 * <p>Listens at the port of the environment variable PORT (8080). SIGTERM ends it: requests that have begun are answered first.
 */
public final class Service {
	private static final int NOTE_MAX = 4096, NOTES_MAX = 1000, END_SECONDS = 2;

	private final Map<Long, String> notes = new ConcurrentSkipListMap<>();
	private final AtomicLong last = new AtomicLong(), requests = new AtomicLong();

	private record Answer(int status, String json) {
	}

	private static String quote(String text) {
		StringBuilder out = new StringBuilder("\"");
		for (char c : text.toCharArray())
			if (c == '"' || c == '\\')
				out.append('\\').append(c);
			else if (c < ' ')
				out.append(String.format("\\u%04x", (int)c));
			else
				out.append(c);
		return out.append('"').toString();
	}

	private static Answer error(int status, String text) {
		return new Answer(status, "{\"error\":" + quote(text) + "}");
	}

	private static String note(long id, String text) {
		return "{\"id\":" + id + ",\"text\":" + quote(text) + "}";
	}

	private Answer status() {
		Runtime runtime = Runtime.getRuntime();
		return new Answer(200, "{\"uptime_ms\":" + ManagementFactory.getRuntimeMXBean().getUptime() + ",\"requests\":" + requests.get() + ",\"heap_bytes\":"
			+ (runtime.totalMemory() - runtime.freeMemory()) + ",\"heap_max_bytes\":" + runtime.maxMemory() + ",\"java\":" + quote(System.getProperty("java.version"))
			+ "}");
	}

	private Answer notes(HttpExchange exchange) throws IOException {
		switch (exchange.getRequestMethod()) {
		case "GET":
			return new Answer(200, notes.entrySet().stream().map(e -> note(e.getKey(), e.getValue())).collect(Collectors.joining(",", "[", "]")));
		case "POST":
			byte[] body = exchange.getRequestBody().readNBytes(NOTE_MAX + 1);
			if (body.length > NOTE_MAX)
				return error(413, "a note has at most " + NOTE_MAX + " bytes");
			if (body.length == 0)
				return error(400, "the body is the note");
			if (notes.size() >= NOTES_MAX)
				return error(507, "there is room for " + NOTES_MAX + " notes");
			long id = last.incrementAndGet();
			String text = new String(body, StandardCharsets.UTF_8);
			notes.put(id, text);
			return new Answer(201, note(id, text));
		default:
			return error(405, "GET or POST");
		}
	}

	private Answer one(String method, String name) {
		long id;
		try {
			id = Long.parseLong(name);
		} catch (NumberFormatException e) {
			return error(400, "'" + name + "' is no number");
		}
		String text = method.equals("DELETE") ? notes.remove(id) : notes.get(id);
		if (text == null)
			return error(404, "there is no note " + id);
		switch (method) {
		case "GET":
			return new Answer(200, note(id, text));
		case "DELETE":
			return new Answer(204, "");
		default:
			return error(405, "GET or DELETE");
		}
	}

	private Answer answer(HttpExchange exchange) throws IOException {
		String path = exchange.getRequestURI().getPath();
		requests.incrementAndGet();
		if (path.equals("/health"))
			return new Answer(200, "{\"status\":\"up\"}");
		if (path.equals("/status"))
			return status();
		if (path.equals("/notes"))
			return notes(exchange);
		if (path.startsWith("/notes/"))
			return one(exchange.getRequestMethod(), path.substring("/notes/".length()));
		return error(404, "nothing at " + path);
	}

	private void handle(HttpExchange exchange) throws IOException {
		try (exchange) {
			Answer answer = answer(exchange);
			byte[] body = answer.json.getBytes(StandardCharsets.UTF_8);
			exchange.getResponseHeaders().set("Content-Type", "application/json");
			exchange.sendResponseHeaders(answer.status, body.length == 0 ? -1 : body.length);
			exchange.getResponseBody().write(body);
		}
	}

	public static void main(String[] arguments) throws IOException {
		String port = System.getenv().getOrDefault("PORT", "8080");
		// The server sends head and body in two pieces: without this the second would wait for the first to be acknowledged.
		System.setProperty("sun.net.httpserver.nodelay", "true");
		HttpServer server = HttpServer.create(new InetSocketAddress(Integer.parseInt(port)), 0);
		ExecutorService pool = Executors.newFixedThreadPool(2 * Runtime.getRuntime().availableProcessors());
		Service service = new Service();
		server.createContext("/", service::handle);
		server.setExecutor(pool);
		Runtime.getRuntime().addShutdownHook(new Thread(() -> server.stop(END_SECONDS), "end"));
		server.start();
		System.out.println("ready at port " + port + " after " + ManagementFactory.getRuntimeMXBean().getUptime() + " ms");
	}
}
