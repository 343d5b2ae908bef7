import java.io.IOException;
import java.lang.management.BufferPoolMXBean;
import java.lang.management.ManagementFactory;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import javax.management.JMException;
import javax.management.ObjectName;

/**
 * What every server of these tests answers, whichever program carries it; {@link Probe} asks.
 *
 * <pre>
 * GET  /hello        "hello\n"
 * GET  /bytes?N      N bytes that both sides can make
 * POST /sum          SHA-256 of the body, in hexadecimal digits
 * POST /echo         the body
 * GET  /counts       the kernel's counters of system calls, empty on another system
 * GET  /memory       /proc/meminfo
 * GET  /status       /proc/self/status
 * GET  /snmp         /proc/net/snmp
 * GET  /net          the kernel's counters of the network, empty on another system
 * GET  /native       whose memory the JVM's is: buffers, heap and, with -XX:NativeMemoryTracking=summary, the rest, after a collection
 * GET  /trim         malloc gives back what it keeps; what that was
 * GET  /stop         "stopping\n", and then the server ends in its own way
 * </pre>
 */
final class Answers {
	private Answers() {
	}

	/** The answer, or null where there is nothing (status 404). */
	static byte[] to(String method, String path, String query, byte[] body) throws IOException {
		switch (method + " " + path) {
		case "GET /hello":
			return text("hello\n");
		case "GET /bytes":
			return bytes(Integer.parseInt(query));
		case "POST /sum":
			return text(sum(body));
		case "POST /echo":
			return body;
		case "GET /counts":
			return file("/proc/ibrik/syscalls");
		case "GET /memory":
			return file("/proc/meminfo");
		case "GET /status":
			return file("/proc/self/status");
		case "GET /snmp":
			return file("/proc/net/snmp");
		case "GET /net":
			return file("/proc/ibrik/net");
		case "GET /native":
			return text(nativeMemory());
		case "GET /trim":
			return text(trim());
		case "GET /stop":
			return text("stopping\n");
		default:
			return null;
		}
	}

	static byte[] text(String s) {
		return s.getBytes(StandardCharsets.UTF_8);
	}

	static byte[] file(String name) throws IOException {
		Path path = Path.of(name);
		return Files.exists(path) ? Files.readAllBytes(path) : new byte[0];
	}

	private static String nativeMemory() throws IOException {
		StringBuilder text = new StringBuilder();
		System.gc();
		for (BufferPoolMXBean pool : ManagementFactory.getPlatformMXBeans(BufferPoolMXBean.class))
			text.append("buffers ").append(pool.getName()).append(' ').append(pool.getCount()).append(' ').append(pool.getMemoryUsed()).append('\n');
		text.append("heap ").append(ManagementFactory.getMemoryMXBean().getHeapMemoryUsage()).append('\n');
		text.append("threads ").append(ManagementFactory.getThreadMXBean().getThreadCount()).append('\n');
		try {
			text.append(diagnose("vmNativeMemory", "summary"));
		} catch (JMException e) {
			throw new IOException(e);
		}
		return text.toString();
	}

	private static Object diagnose(String command, String... arguments) throws JMException {
		boolean none = arguments.length == 0;
		return ManagementFactory.getPlatformMBeanServer().invoke(new ObjectName("com.sun.management:type=DiagnosticCommand"), command,
			none ? new Object[0] : new Object[] { arguments }, none ? new String[0] : new String[] { String[].class.getName() });
	}

	/** malloc gives back what it keeps; JDKs before 17.0.9 cannot ask for it. */
	private static String trim() {
		try {
			return diagnose("systemTrimNativeHeap") + "\n";
		} catch (JMException e) {
			return "cannot: " + e + "\n";
		}
	}

	static byte[] bytes(int n) {
		byte[] data = new byte[n];
		for (int i = 0; i < n; i++)
			data[i] = (byte)((i * 0x9e3779b1) >>> 13);
		return data;
	}

	static String sum(byte[] data) {
		try {
			return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(data));
		} catch (NoSuchAlgorithmException e) {
			throw new IllegalStateException(e);
		}
	}

	/** Ends in a moment, when the answer to /stop is out. */
	static void later(Runnable stop) {
		Thread thread = new Thread(() -> {
			try {
				Thread.sleep(200);
			} catch (InterruptedException e) {
				return;
			}
			stop.run();
		}, "stop");
		thread.setDaemon(false);
		thread.start();
	}
}
