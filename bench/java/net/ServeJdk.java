import com.sun.net.httpserver.HttpServer;
import java.net.InetSocketAddress;
import java.util.concurrent.Executors;

/** The JDK's own server with a pool of threads: GET /hello answers, GET /stop ends the program. */
public class ServeJdk {
	private static final byte[] HELLO = "Hello, world\n".getBytes();

	public static void main(String[] args) throws Exception {
		HttpServer server = HttpServer.create(new InetSocketAddress(8080), 1024);
		server.createContext("/hello", exchange -> {
			exchange.getResponseHeaders().set("Content-Type", "text/plain");
			exchange.sendResponseHeaders(200, HELLO.length);
			exchange.getResponseBody().write(HELLO);
			exchange.close();
		});
		server.createContext("/stop", exchange -> {
			exchange.sendResponseHeaders(200, -1);
			exchange.close();
			System.out.println("done");
			System.exit(0);
		});
		server.setExecutor(Executors.newFixedThreadPool(16));
		server.start();
		System.out.println("ready");
	}
}
