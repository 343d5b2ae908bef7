import java.io.BufferedInputStream;
import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;

/**
 * Asks a server that gives the answers of {@link Answers} and says whether they are right.
 *
 * <p>{@code Probe HOST PORT SECONDS WHAT...}: waits as long for the first answer; {@code http} is all that HTTP/1.1 has (with
 * {@code tls} over TLS), {@code gate} counts the server's system calls by entry, {@code stop} asks it to end. Speaks HTTP over plain sockets, so
 * that it says what goes into a segment and when a connection ends. Prints {@code ok NAME} or {@code not ok NAME reason}.
 */
public final class Probe {
	private static final int MANY = 16;
	/** On one connection: Tomcat closes one after 100. */
	private static final int REQUESTS = 90;

	private final String host;
	private final int port;
	private boolean secure;
	private int failed;

	private Probe(String host, int port) {
		this.host = host;
		this.port = port;
	}

	private record Response(int status, Map<String, String> headers, byte[] body) {
		@Override
		public String toString() {
			return "status " + status + ", " + body.length + " bytes";
		}
	}

	/** A connection that carries requests one after the other. */
	private final class Connection implements AutoCloseable {
		private final Socket socket;
		private final InputStream in;
		private final OutputStream out;

		Connection() throws Exception {
			Socket plain = new Socket();
			plain.setTcpNoDelay(true);
			plain.setSoTimeout(60_000);
			plain.connect(new InetSocketAddress(host, port), 10_000);
			socket = secure ? Keys.context().getSocketFactory().createSocket(plain, host, port, true) : plain;
			in = new BufferedInputStream(socket.getInputStream(), 65536);
			out = socket.getOutputStream();
		}

		@Override
		public void close() throws IOException {
			socket.close();
		}

		private String line() throws IOException {
			StringBuilder text = new StringBuilder();
			for (;;) {
				int c = in.read();
				if (c < 0)
					throw new EOFException("the connection ended in a line");
				if (c == '\n')
					return text.toString().trim();
				text.append((char)c);
			}
		}

		private byte[] exactly(int n) throws IOException {
			byte[] data = in.readNBytes(n);
			if (data.length != n)
				throw new EOFException("the connection ended after " + data.length + " of " + n + " bytes");
			return data;
		}

		Response response(boolean head) throws IOException {
			String[] first = line().split(" ");
			Map<String, String> headers = new TreeMap<>(String.CASE_INSENSITIVE_ORDER);
			for (String text = line(); !text.isEmpty(); text = line()) {
				int colon = text.indexOf(':');
				headers.put(text.substring(0, colon).trim(), text.substring(colon + 1).trim());
			}
			byte[] body = new byte[0];
			if (head) {
				return new Response(Integer.parseInt(first[1]), headers, body);
			} else if ("chunked".equalsIgnoreCase(headers.get("Transfer-Encoding"))) {
				List<byte[]> parts = new ArrayList<>();
				for (int n = Integer.parseInt(line(), 16); n > 0; n = Integer.parseInt(line(), 16)) {
					parts.add(exactly(n));
					line();
				}
				line();
				int length = 0;
				for (byte[] part : parts) {
					body = Arrays.copyOf(body, length + part.length);
					System.arraycopy(part, 0, body, length, part.length);
					length += part.length;
				}
			} else if (headers.containsKey("Content-Length")) {
				body = exactly(Integer.parseInt(headers.get("Content-Length")));
			}
			return new Response(Integer.parseInt(first[1]), headers, body);
		}

		void send(String request, byte[] body) throws IOException {
			byte[] head = request.replace("\n", "\r\n").getBytes(StandardCharsets.ISO_8859_1);
			byte[] all = Arrays.copyOf(head, head.length + body.length);
			System.arraycopy(body, 0, all, head.length, body.length);
			out.write(all);
			out.flush();
		}

		Response get(String path) throws IOException {
			send("GET " + path + " HTTP/1.1\nHost: probe\n\n", new byte[0]);
			return response(false);
		}

		Response post(String path, byte[] body) throws IOException {
			send("POST " + path + " HTTP/1.1\nHost: probe\nContent-Type: application/octet-stream\nContent-Length: " + body.length + "\n\n", body);
			return response(false);
		}
	}

	private interface Check {
		void run() throws Exception;
	}

	private void check(String name, Check check) {
		long start = System.nanoTime();
		try {
			check.run();
			System.out.println("ok " + name + " " + (System.nanoTime() - start) / 1_000_000 + " ms");
		} catch (Exception | AssertionError e) {
			failed++;
			System.out.println("not ok " + name + " " + e);
		}
	}

	private static void same(Response response, byte[] want) {
		if (response.status != 200 || !Arrays.equals(response.body, want))
			throw new AssertionError(response + " (" + new String(response.body, 0, Math.min(60, response.body.length), StandardCharsets.ISO_8859_1)
				+ "), not " + want.length + " bytes");
	}

	private static final byte[] HELLO = Answers.text("hello\n");

	private boolean await(int seconds) {
		long end = System.nanoTime() + seconds * 1_000_000_000L;
		String reason = "";
		while (System.nanoTime() < end) {
			try (Connection connection = new Connection()) {
				same(connection.get("/hello"), HELLO);
				System.out.println("ok answers");
				return true;
			} catch (Exception | AssertionError e) {
				reason = e.toString();
			}
			try {
				Thread.sleep(100);
			} catch (InterruptedException e) {
				break;
			}
		}
		System.out.println("not ok answers not within " + seconds + " s: " + reason);
		return false;
	}

	private void http(String prefix) {
		check(prefix + "keep-alive", () -> {
			try (Connection connection = new Connection()) {
				for (int i = 0; i < REQUESTS; i++)
					same(connection.get("/hello"), HELLO);
			}
		});
		check(prefix + "a-connection-a-request", () -> {
			for (int i = 0; i < 20; i++)
				try (Connection connection = new Connection()) {
					connection.send("GET /hello HTTP/1.1\nHost: probe\nConnection: close\n\n", new byte[0]);
					same(connection.response(false), HELLO);
					if (connection.in.read() >= 0)
						throw new AssertionError("the server did not close");
				}
		});
		check(prefix + "many-at-once", () -> {
			ExecutorService pool = Executors.newFixedThreadPool(MANY);
			List<Future<?>> all = new ArrayList<>();
			for (int n = 0; n < MANY; n++)
				all.add(pool.submit(() -> {
					try (Connection connection = new Connection()) {
						for (int i = 0; i < 20; i++)
							same(connection.get(i % 4 == 3 ? "/bytes?20000" : "/hello"), i % 4 == 3 ? Answers.bytes(20000) : HELLO);
					}
					return null;
				}));
			for (Future<?> one : all)
				one.get();
			pool.shutdown();
		});
		check(prefix + "large-answers", () -> {
			try (Connection connection = new Connection()) {
				for (int n : new int[] { 1, 1459, 65536, 1 << 20, 3_000_001 })
					same(connection.get("/bytes?" + n), Answers.bytes(n));
			}
		});
		check(prefix + "uploads", () -> {
			try (Connection connection = new Connection()) {
				for (int n : new int[] { 1, 70_000, 1_000_003 })
					same(connection.post("/sum", Answers.bytes(n)), Answers.text(Answers.sum(Answers.bytes(n))));
				same(connection.post("/echo", Answers.bytes(300_000)), Answers.bytes(300_000));
			}
		});
		check(prefix + "upload-in-chunks", () -> {
			try (Connection connection = new Connection()) {
				byte[] data = Answers.bytes(50_000);
				connection.send("POST /sum HTTP/1.1\nHost: probe\nContent-Type: application/octet-stream\nTransfer-Encoding: chunked\n\n", new byte[0]);
				for (int at = 0; at < data.length; at += 1000) {
					connection.send("3e8\n", Arrays.copyOfRange(data, at, at + 1000));
					connection.send("\n", new byte[0]);
				}
				connection.send("0\n\n", new byte[0]);
				same(connection.response(false), Answers.text(Answers.sum(data)));
			}
		});
		check(prefix + "nothing-there", () -> {
			try (Connection connection = new Connection()) {
				Response response = connection.get("/nothing");
				if (response.status != 404)
					throw new AssertionError(response.toString());
			}
		});
		check(prefix + "pipelined", () -> {
			try (Connection connection = new Connection()) {
				connection.send("GET /hello HTTP/1.1\nHost: probe\n\nGET /bytes?100 HTTP/1.1\nHost: probe\n\n", new byte[0]);
				same(connection.response(false), HELLO);
				same(connection.response(false), Answers.bytes(100));
			}
		});
		check(prefix + "reads-late", () -> {
			try (Connection connection = new Connection()) {
				connection.send("GET /bytes?4000000 HTTP/1.1\nHost: probe\n\n", new byte[0]);
				Thread.sleep(1000);
				same(connection.response(false), Answers.bytes(4_000_000));
			}
		});
		check(prefix + "goes-away", () -> {
			for (int i = 0; i < 10; i++)
				try (Connection connection = new Connection()) {
					connection.send("GET /bytes?2000000 HTTP/1.1\nHost: probe\n\n", new byte[0]);
					connection.in.read();
					if (i % 2 == 0)
						connection.socket.setSoLinger(true, 0);
				}
			try (Connection connection = new Connection()) {
				same(connection.get("/hello"), HELLO);
			}
		});
	}

	private static long number(String counts, String name) {
		for (String line : counts.split("\n"))
			if (line.startsWith(name + " "))
				return Long.parseLong(line.substring(name.length() + 1));
		throw new AssertionError("no line " + name);
	}

	/** The load between two looks at the counters; the checks before it are the warm-up. */
	private void gate() {
		check("gate", () -> {
			try (Connection connection = new Connection()) {
				String before = new String(connection.get("/counts").body, StandardCharsets.UTF_8);
				if (before.isEmpty())
					throw new AssertionError("the kernel has no counters");
				for (int i = 0; i < 50; i++)
					try (Connection other = new Connection()) {
						for (int n = 0; n < 10; n++)
							same(other.get("/hello"), HELLO);
						same(other.get("/bytes?3000"), Answers.bytes(3000));
						same(other.post("/sum", Answers.bytes(5000)), Answers.text(Answers.sum(Answers.bytes(5000))));
					}
				String after = new String(connection.get("/counts").body, StandardCharsets.UTF_8);
				long gate = number(after, "gate") - number(before, "gate"), trap = number(after, "trap") - number(before, "trap");
				for (String line : after.split("\n"))
					if (line.startsWith("call ")) {
						String[] word = line.split(" ");
						long trapped = Long.parseLong(word[6]);
						for (String old : before.split("\n"))
							if (old.startsWith("call " + word[1] + " "))
								trapped -= Long.parseLong(old.split(" ")[6]);
						if (trapped > 0)
							System.out.println("trapped " + word[2] + " " + trapped);
					}
				System.out.println("counts gate " + gate + " trap " + trap);
				if (gate + trap < 2000 || gate < 99 * trap)
					throw new AssertionError("less than 99 % of the calls came through the gate");
			}
		});
	}

	private void stop() {
		check("stop", () -> {
			try (Connection connection = new Connection()) {
				same(connection.get("/stop"), Answers.text("stopping\n"));
			}
		});
	}

	public static void main(String[] arguments) {
		Probe probe = new Probe(arguments[0], Integer.parseInt(arguments[1]));
		List<String> what = Arrays.asList(arguments).subList(3, arguments.length);
		probe.secure = what.contains("tls");
		if (!probe.await(Integer.parseInt(arguments[2])))
			System.exit(1);
		if (what.contains("http"))
			probe.http(probe.secure ? "tls-" : "");
		if (what.contains("gate"))
			probe.gate();
		if (what.contains("stop"))
			probe.stop();
		System.exit(probe.failed == 0 ? 0 : 1);
	}
}
