import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Properties;
import kafka.server.KafkaConfig;
import kafka.server.KafkaRaftServer;
import kafka.tools.StorageTool;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.utils.Time;

/**
 * Kafka's broker and controller in one program: {@code KafkaServer PROPERTIES PORT}. Formats the storage by Kafka's own tool. For who connects to PORT the broker ends
 * and another one starts on the same storage; then a line comes. A machine that starts again would begin with an empty /tmp, so what is found again is tried this way.
 * SIGTERM ends it.
 */
public final class KafkaServer {
	private static KafkaRaftServer server;
	private static boolean over;

	private KafkaServer() {
	}

	private static KafkaConfig config(String file) throws IOException {
		Properties properties = new Properties();
		try (InputStream in = Files.newInputStream(Path.of(file))) {
			properties.load(in);
		}
		return new KafkaConfig(properties, false);
	}

	private static synchronized void start(KafkaConfig config) {
		if (over)
			return;
		server = new KafkaRaftServer(config, Time.SYSTEM);
		server.startup();
	}

	private static synchronized void end() {
		server.shutdown();
		server.awaitShutdown();
	}

	private static void finish() {
		synchronized (KafkaServer.class) {
			over = true;
			end();
		}
	}

	/** What is written is found again by another broker; says how long both took. */
	private static String again(KafkaConfig config) {
		long begin = System.nanoTime();
		end();
		long ended = System.nanoTime();
		start(config);
		return "ended in " + (ended - begin) / 1_000_000 + " ms, started in " + (System.nanoTime() - ended) / 1_000_000 + " ms\n";
	}

	public static void main(String[] arguments) throws IOException {
		String[] format = { "format", "-t", Uuid.randomUuid().toString(), "-c", arguments[0], "--standalone" };
		int status = StorageTool.execute(format, System.out);
		if (status != 0)
			System.exit(status);
		KafkaConfig config = config(arguments[0]);
		start(config);
		Runtime.getRuntime().addShutdownHook(new Thread(KafkaServer::finish, "end"));
		try (ServerSocket asked = new ServerSocket(Integer.parseInt(arguments[1]))) {
			for (;;)
				try (Socket one = asked.accept(); OutputStream out = one.getOutputStream()) {
					out.write(Answers.text(again(config)));
				}
		}
	}
}
