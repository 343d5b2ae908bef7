import java.io.ByteArrayOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.net.DatagramPacket;
import java.net.DatagramSocket;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicInteger;

/** A small name server for tests, by UDP (512 bytes, then truncated) and TCP. It knows what is in {@code names} and says of others that they do not exist. */
final class NameServer {
	final AtomicInteger byUdp = new AtomicInteger(), byTcp = new AtomicInteger();
	private final Map<String, List<InetAddress>> names;

	/** Serves at that address and port, from threads that nobody waits for. */
	NameServer(InetAddress address, int port, Map<String, List<InetAddress>> names) throws IOException {
		this.names = names;
		DatagramSocket udp = new DatagramSocket(port, address);
		ServerSocket tcp = new ServerSocket(port, 10, address);
		start("dns-udp", () -> {
			DatagramPacket packet = new DatagramPacket(new byte[1500], 1500);
			udp.receive(packet);
			byUdp.incrementAndGet();
			byte[] answer = answer(packet.getData(), true);
			udp.send(new DatagramPacket(answer, answer.length, packet.getSocketAddress()));
			packet.setLength(1500);
		});
		start("dns-tcp", () -> {
			try (Socket socket = tcp.accept()) {
				DataInputStream in = new DataInputStream(socket.getInputStream());
				DataOutputStream out = new DataOutputStream(socket.getOutputStream());
				for (int length = in.readUnsignedShort();; length = in.readUnsignedShort()) {
					byTcp.incrementAndGet();
					byte[] answer = answer(in.readNBytes(length), false);
					ByteArrayOutputStream all = new ByteArrayOutputStream();
					all.write(answer.length >> 8);
					all.write(answer.length);
					all.write(answer);
					out.write(all.toByteArray());
				}
			} catch (IOException e) {
				// The client has what it wanted.
			}
		});
	}

	private interface Step {
		void run() throws IOException;
	}

	private static void start(String name, Step step) {
		Thread thread = new Thread(() -> {
			for (;;) {
				try {
					step.run();
				} catch (IOException e) {
					System.out.println("# " + name + ": " + e);
				}
			}
		}, name);
		thread.setDaemon(true);
		thread.start();
	}

	private byte[] answer(byte[] query, boolean udp) throws IOException {
		StringBuilder name = new StringBuilder();
		int at = 12;
		for (; query[at] != 0; at += query[at] + 1)
			name.append(new String(query, at + 1, query[at], StandardCharsets.ISO_8859_1)).append('.');
		int type = (query[at + 1] & 0xff) << 8 | query[at + 2] & 0xff, end = at + 5;
		List<InetAddress> known = names.get(name.substring(0, Math.max(0, name.length() - 1)).toLowerCase(java.util.Locale.ROOT));
		List<InetAddress> found = known == null ? List.of() : known.stream().filter(a -> a.getAddress().length == (type == 1 ? 4 : type == 28 ? 16 : 0)).toList();
		ByteArrayOutputStream bytes = new ByteArrayOutputStream();
		DataOutputStream out = new DataOutputStream(bytes);
		boolean truncated = udp && end + found.size() * 28 > 512;
		out.write(query, 0, 2);
		out.writeShort(0x8180 | (truncated ? 0x200 : 0) | (known == null ? 3 : 0));
		out.writeShort(1);
		out.writeShort(truncated ? 0 : found.size());
		out.writeInt(0);
		out.write(query, 12, end - 12);
		if (!truncated)
			for (InetAddress one : found) {
				out.writeShort(0xc00c);
				out.writeShort(type);
				out.writeShort(1);
				out.writeInt(60);
				out.writeShort(one.getAddress().length);
				out.write(one.getAddress());
			}
		return bytes.toByteArray();
	}
}
