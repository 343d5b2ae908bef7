import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.CompletableFuture;

/**
 * The JDK's HttpClient: {@code Http2Probe HOST PORT SECURE-PORT}. HTTP/1.1, HTTP/2 by upgrade in clear text, and HTTP/2 over TLS 1.3; one answer, large bodies both
 * ways, many requests at once on one connection.
 */
public final class Http2Probe {
	private static int failed;

	private Http2Probe() {
	}

	private static void want(boolean right, String what) {
		if (!right)
			throw new IllegalStateException(what);
	}

	private static void check(String name, HttpClient client, String base, HttpClient.Version version) {
		long start = System.nanoTime();
		try {
			HttpRequest.Builder builder = HttpRequest.newBuilder().timeout(Duration.ofSeconds(60));
			HttpResponse<byte[]> response = client.send(builder.copy().uri(URI.create(base + "/hello")).build(), HttpResponse.BodyHandlers.ofByteArray());
			want(new String(response.body()).equals("hello\n"), "answer of " + response.body().length + " bytes, status " + response.statusCode());
			want(response.version() == version, "version " + response.version());
			if (base.startsWith("https"))
				want(response.sslSession().orElseThrow().getProtocol().equals("TLSv1.3"), "protocol " + response.sslSession().orElseThrow().getProtocol());
			byte[] body = Answers.bytes(1_500_000);
			response = client.send(builder.copy().uri(URI.create(base + "/echo")).POST(HttpRequest.BodyPublishers.ofByteArray(body)).build(),
				HttpResponse.BodyHandlers.ofByteArray());
			want(Arrays.equals(response.body(), body), "an echo of " + response.body().length + " bytes, status " + response.statusCode());
			List<CompletableFuture<HttpResponse<byte[]>>> all = new ArrayList<>();
			for (int i = 0; i < 50; i++)
				all.add(client.sendAsync(builder.copy().uri(URI.create(base + "/bytes?" + i * 1000)).build(), HttpResponse.BodyHandlers.ofByteArray()));
			for (int i = 0; i < 50; i++)
				want(Arrays.equals(all.get(i).get().body(), Answers.bytes(i * 1000)), "answer " + i + " of 50 at once");
			System.out.println("ok " + name + " " + (System.nanoTime() - start) / 1_000_000 + " ms");
		} catch (Exception e) {
			failed++;
			System.out.println("not ok " + name + " " + e);
		}
	}

	/** The same for a program that goes on: 0, or the status with which this one would end. */
	static int run(String[] arguments) throws Exception {
		String plain = "http://" + arguments[0] + ":" + arguments[1], secure = "https://" + arguments[0] + ":" + arguments[2];
		HttpClient http1 = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).connectTimeout(Duration.ofSeconds(20)).sslContext(Keys.context()).build();
		HttpClient http2 = HttpClient.newBuilder().version(HttpClient.Version.HTTP_2).connectTimeout(Duration.ofSeconds(20)).sslContext(Keys.context()).build();
		check("client-http1", http1, plain, HttpClient.Version.HTTP_1_1);
		check("client-http2", http2, plain, HttpClient.Version.HTTP_2);
		check("client-https1", http1, secure, HttpClient.Version.HTTP_1_1);
		check("client-https2", http2, secure, HttpClient.Version.HTTP_2);
		return failed == 0 ? 0 : 1;
	}

	public static void main(String[] arguments) throws Exception {
		System.exit(run(arguments));
	}
}
