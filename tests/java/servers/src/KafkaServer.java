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
 * Kafka's broker and controller in one program: {@code KafkaServer PROPERTIES PORT}. Formats the storage by Kafka's own tool; who connects to PORT and sends
 * an {@code r} gets a line when the broker has ended and another one has started on the same storage, and by {@code c} the kernel's counters of system calls.
 * A machine that starts again would begin with an empty /tmp, so what is found again is tried this way. SIGTERM ends it.
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

	private static byte[] answer(int command, KafkaConfig config) throws IOException {
		if (command == 'c')
			return Answers.file("/proc/ibrik/syscalls");
		long begin = System.nanoTime();
		end();
		long ended = System.nanoTime();
		start(config);
		return Answers.text("ended in " + (ended - begin) / 1_000_000 + " ms, started in " + (System.nanoTime() - ended) / 1_000_000 + " ms\n");
	}

	public static void main(String[] arguments) throws IOException {
		String[] format = { "format", "-t", Uuid.randomUuid().toString(), "-c", arguments[0], "--standalone" };
		int status = StorageTool.execute(format, System.out);
		if (status != 0)
			System.exit(status);
		KafkaConfig config = config(arguments[0]);
		start(config);
		Runtime.getRuntime().addShutdownHook(new Thread(KafkaServer::finish, "end"));
		try (ServerSocket commands = new ServerSocket(Integer.parseInt(arguments[1]))) {
			for (;;)
				try (Socket one = commands.accept(); OutputStream out = one.getOutputStream()) {
					out.write(answer(one.getInputStream().read(), config));
				}
		}
	}
}
