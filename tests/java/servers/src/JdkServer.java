import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import com.sun.net.httpserver.HttpsConfigurator;
import com.sun.net.httpserver.HttpsServer;
import java.io.IOException;
import java.io.OutputStream;
import java.net.InetSocketAddress;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;

/** The JDK's HttpServer, and its HttpsServer at the next port if there is a key store. */
public final class JdkServer {
	private static final int PIECE = 65536;

	private JdkServer() {
	}

	private static void handle(HttpExchange exchange, Runnable stop) throws IOException {
		try (exchange) {
			byte[] body = exchange.getRequestBody().readAllBytes();
			String path = exchange.getRequestURI().getPath();
			byte[] answer = Answers.to(exchange.getRequestMethod(), path, exchange.getRequestURI().getQuery(), body);
			if (answer == null) {
				exchange.sendResponseHeaders(404, -1);
				return;
			}
			// It closes without saying so, which a client may take for an error.
			if ("close".equalsIgnoreCase(exchange.getRequestHeaders().getFirst("Connection")))
				exchange.getResponseHeaders().set("Connection", "close");
			exchange.sendResponseHeaders(200, answer.length == 0 ? -1 : answer.length);
			// In pieces: for each connection the server keeps a buffer that is twice as long as the longest write() there.
			try (OutputStream out = exchange.getResponseBody()) {
				for (int at = 0; at < answer.length; at += PIECE)
					out.write(answer, at, Math.min(PIECE, answer.length - at));
			}
			if (path.equals("/stop"))
				Answers.later(stop);
		}
	}

	public static void main(String[] arguments) throws Exception {
		int port = Integer.parseInt(arguments[0]);
		ExecutorService pool = Executors.newFixedThreadPool(16);
		HttpServer plain = HttpServer.create(new InetSocketAddress(port), 0);
		HttpsServer secure = Keys.present() ? HttpsServer.create(new InetSocketAddress(port + 1), 0) : null;
		Runnable stop = () -> {
			plain.stop(0);
			if (secure != null)
				secure.stop(0);
			pool.shutdown();
		};
		plain.createContext("/", exchange -> handle(exchange, stop));
		plain.setExecutor(pool);
		if (secure != null) {
			secure.setHttpsConfigurator(new HttpsConfigurator(Keys.context()));
			secure.createContext("/", exchange -> handle(exchange, stop));
			secure.setExecutor(pool);
			secure.start();
		}
		plain.start();
	}
}
