import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.io.InputStream;
import java.net.ConnectException;
import java.net.DatagramPacket;
import java.net.DatagramSocket;
import java.net.Inet4Address;
import java.net.Inet6Address;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.MulticastSocket;
import java.net.NetworkInterface;
import java.net.PortUnreachableException;
import java.net.ServerSocket;
import java.net.Socket;
import java.net.SocketException;
import java.net.SocketTimeoutException;
import java.net.StandardProtocolFamily;
import java.net.StandardSocketOptions;
import java.net.URL;
import java.net.UnixDomainSocketAddress;
import java.net.UnknownHostException;
import java.nio.ByteBuffer;
import java.nio.channels.AsynchronousServerSocketChannel;
import java.nio.channels.AsynchronousSocketChannel;
import java.nio.channels.DatagramChannel;
import java.nio.channels.FileChannel;
import java.nio.channels.SelectionKey;
import java.nio.channels.Selector;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;
import javax.net.ssl.SSLServerSocket;
import javax.net.ssl.SSLSocket;

/**
 * What Java programs do with the network from inside a machine.
 *
 * <p>{@code Inside local}: names (from a server of its own at 127.0.0.1, which /etc/resolv.conf must name, with {@code search example.test}), datagrams, interfaces, TLS, channels,
 * all over loopback. {@code Inside remote HOST JETTY JETTY-TLS NETTY UDP [SQL-URL USER PASSWORD]}: clients of servers on HOST. {@code Inside echo PORT}: is the UDP server that HOST runs.
 */
public final class Inside {
	private static int failed;

	private Inside() {
	}

	private interface Check {
		void run() throws Exception;
	}

	private static void check(String name, Check check) {
		FutureTask<Void> task = new FutureTask<>(() -> {
			check.run();
			return null;
		});
		Thread thread = new Thread(task, name);
		thread.setDaemon(true);
		thread.start();
		try {
			task.get(60, TimeUnit.SECONDS);
			System.out.println("ok " + name);
		} catch (Exception e) {
			failed++;
			System.out.println("not ok " + name + " " + (e.getCause() == null ? e : e.getCause()));
			for (StackTraceElement element : e.getCause() == null ? thread.getStackTrace() : e.getCause().getStackTrace())
				System.out.println("#   " + element);
		}
	}

	private static void want(boolean right, String what) {
		if (!right)
			throw new IllegalStateException(what);
	}

	private static <E extends Exception> void wantThrown(Class<E> type, Callable<?> call) throws Exception {
		try {
			Object result = call.call();
			throw new IllegalStateException("no " + type.getSimpleName() + ", but " + result);
		} catch (Exception e) {
			if (!type.isInstance(e))
				throw e;
		}
	}

	private static Thread background(Check check) {
		Thread thread = new Thread(() -> {
			try {
				check.run();
			} catch (Exception e) {
				System.out.println("# in the background: " + e);
			}
		});
		thread.setDaemon(true);
		thread.start();
		return thread;
	}

	private static void names() throws Exception {
		List<InetAddress> many = new ArrayList<>();
		for (int i = 1; i <= 40; i++)
			many.add(InetAddress.getByName("192.0.2." + i));
		InetAddress four = InetAddress.getByName("192.0.2.77"), six = InetAddress.getByName("2001:db8::77");
		NameServer server = new NameServer(InetAddress.getByName("127.0.0.1"), 53, Map.of("four.test", List.of(four), "six.test", List.of(six),
			"both.test", List.of(four, six), "short.example.test", List.of(four), "many.test", many));
		check("dns-ipv4", () -> want(Arrays.equals(InetAddress.getAllByName("four.test"), new InetAddress[] { four }), "other addresses"));
		check("dns-ipv6", () -> want(Arrays.equals(InetAddress.getAllByName("six.test"), new InetAddress[] { six }), "other addresses"));
		check("dns-both", () -> {
			List<InetAddress> got = List.of(InetAddress.getAllByName("both.test"));
			want(got.size() == 2 && got.contains(four) && got.contains(six), "addresses " + got);
		});
		check("dns-search-domain", () -> want(InetAddress.getByName("short").equals(four), "another address"));
		check("dns-by-tcp-when-truncated", () -> {
			want(InetAddress.getAllByName("many.test").length == 40, "not 40 addresses");
			want(server.byTcp.get() > 0, "TCP was not asked");
		});
		check("dns-unknown", () -> wantThrown(UnknownHostException.class, () -> InetAddress.getByName("missing.test")));
		check("dns-local-names", () -> {
			want(InetAddress.getByName("localhost").isLoopbackAddress(), "localhost");
			want(InetAddress.getLocalHost().getHostName().length() > 0, "no name");
		});
	}

	private static void datagrams() {
		for (String address : new String[] { "127.0.0.1", "::1" })
			check("udp-channel-" + address, () -> {
				try (DatagramChannel server = DatagramChannel.open(); DatagramChannel client = DatagramChannel.open()) {
					server.bind(new InetSocketAddress(address, 0));
					client.connect(server.getLocalAddress());
					for (int n : new int[] { 1, 1472, 9000, 60_000 }) {
						client.write(ByteBuffer.wrap(Answers.bytes(n)));
						ByteBuffer got = ByteBuffer.allocate(65536);
						want(server.receive(got).equals(client.getLocalAddress()), "another sender");
						want(Arrays.equals(Arrays.copyOf(got.array(), got.position()), Answers.bytes(n)), n + " bytes came as " + got.position());
					}
				}
			});
		check("udp-times-out", () -> {
			try (DatagramSocket socket = new DatagramSocket(0, InetAddress.getByName("127.0.0.1"))) {
				long begin = System.nanoTime();
				socket.setSoTimeout(50);
				wantThrown(SocketTimeoutException.class, () -> {
					socket.receive(new DatagramPacket(new byte[10], 10));
					return null;
				});
				want(System.nanoTime() - begin >= 50_000_000, "too early");
			}
		});
		check("udp-port-unreachable", () -> {
			int free;
			try (DatagramSocket socket = new DatagramSocket(0, InetAddress.getByName("127.0.0.1"))) {
				free = socket.getLocalPort();
			}
			try (DatagramSocket socket = new DatagramSocket()) {
				socket.connect(new InetSocketAddress("127.0.0.1", free));
				socket.setSoTimeout(5000);
				wantThrown(PortUnreachableException.class, () -> {
					socket.send(new DatagramPacket(new byte[10], 10));
					socket.receive(new DatagramPacket(new byte[10], 10));
					return null;
				});
			}
		});
		check("udp-multicast", () -> {
			NetworkInterface lo = NetworkInterface.getByInetAddress(InetAddress.getByName("127.0.0.1"));
			InetAddress group = InetAddress.getByName("239.1.2.3");
			try (MulticastSocket receiver = new MulticastSocket(0); MulticastSocket sender = new MulticastSocket(0)) {
				receiver.joinGroup(new InetSocketAddress(group, 0), lo);
				receiver.setSoTimeout(5000);
				sender.setNetworkInterface(lo);
				sender.send(new DatagramPacket(new byte[] { 1, 2, 3 }, 3, group, receiver.getLocalPort()));
				DatagramPacket got = new DatagramPacket(new byte[10], 10);
				receiver.receive(got);
				want(got.getLength() == 3, "length " + got.getLength());
				receiver.leaveGroup(new InetSocketAddress(group, 0), lo);
				receiver.setSoTimeout(100);
				sender.send(new DatagramPacket(new byte[] { 1 }, 1, group, receiver.getLocalPort()));
				wantThrown(SocketTimeoutException.class, () -> {
					receiver.receive(got);
					return null;
				});
			}
		});
	}

	private static void interfaces() {
		check("interfaces", () -> {
			NetworkInterface lo = NetworkInterface.getByName("lo");
			want(lo != null && lo.isUp() && lo.isLoopback() && !lo.isPointToPoint(), "lo is " + lo);
			want(lo.getMTU() == 65536, "MTU of lo: " + lo.getMTU());
			want(lo.inetAddresses().anyMatch(a -> a instanceof Inet4Address && a.isLoopbackAddress()), "lo without 127.0.0.1");
			want(NetworkInterface.getByInetAddress(InetAddress.getByName("127.0.0.1")).equals(lo), "127.0.0.1 is not of lo");
			want(NetworkInterface.getByIndex(lo.getIndex()).equals(lo), "by index");
			for (NetworkInterface one : NetworkInterface.networkInterfaces().toList()) {
				System.out.println("# " + one + " " + one.getInterfaceAddresses() + " mtu " + one.getMTU());
				want(one.isLoopback() || !one.isUp() || one.getHardwareAddress() == null || one.getHardwareAddress().length == 6, "hardware address of " + one);
			}
		});
		check("interfaces-ipv6", () -> want(NetworkInterface.getByName("lo").inetAddresses().anyMatch(a -> a instanceof Inet6Address), "lo without ::1"));
	}

	private static void connections() {
		InetAddress here = InetAddress.getLoopbackAddress();
		check("refused", () -> {
			int free;
			try (ServerSocket socket = new ServerSocket(0, 1, here)) {
				free = socket.getLocalPort();
			}
			wantThrown(ConnectException.class, () -> new Socket(here, free));
		});
		check("closed-while-accepting", () -> {
			ServerSocket socket = new ServerSocket(0, 1, here);
			background(() -> {
				Thread.sleep(300);
				socket.close();
			});
			wantThrown(SocketException.class, socket::accept);
		});
		check("closed-while-reading", () -> {
			try (ServerSocket server = new ServerSocket(0, 1, here); Socket other = new Socket(here, server.getLocalPort()); Socket socket = server.accept()) {
				background(() -> {
					Thread.sleep(300);
					socket.close();
				});
				wantThrown(SocketException.class, () -> socket.getInputStream().read());
				want(other.getInputStream().read() < 0, "the other side got something");
			}
		});
		check("half-closed", () -> {
			try (ServerSocket server = new ServerSocket(0, 1, here); Socket a = new Socket(here, server.getLocalPort()); Socket b = server.accept()) {
				a.getOutputStream().write(Answers.bytes(100_000));
				a.shutdownOutput();
				want(Arrays.equals(b.getInputStream().readAllBytes(), Answers.bytes(100_000)), "one way");
				b.getOutputStream().write(Answers.bytes(100_000));
				b.close();
				want(Arrays.equals(a.getInputStream().readAllBytes(), Answers.bytes(100_000)), "the other way");
			}
		});
		check("selector", () -> {
			try (Selector selector = Selector.open(); ServerSocketChannel server = ServerSocketChannel.open(); SocketChannel client = SocketChannel.open()) {
				server.bind(new InetSocketAddress(here, 0)).configureBlocking(false);
				server.register(selector, SelectionKey.OP_ACCEPT);
				client.configureBlocking(false);
				if (!client.connect(server.getLocalAddress()))
					client.register(selector, SelectionKey.OP_CONNECT);
				SocketChannel accepted = null;
				while (accepted == null || !client.isConnected()) {
					want(selector.select(10_000) > 0, "nothing happened");
					for (SelectionKey key : selector.selectedKeys()) {
						if (key.isConnectable())
							client.finishConnect();
						if (key.isAcceptable())
							accepted = server.accept();
					}
					selector.selectedKeys().clear();
				}
				background(() -> {
					Thread.sleep(200);
					selector.wakeup();
				});
				long begin = System.nanoTime();
				want(selector.select(40_000) == 0, "an event");
				want(System.nanoTime() - begin < 30_000_000_000L, "it was not woken");
				accepted.close();
			}
		});
		check("asynchronous-channels", () -> {
			try (AsynchronousServerSocketChannel server = AsynchronousServerSocketChannel.open().bind(new InetSocketAddress(here, 0));
				AsynchronousSocketChannel client = AsynchronousSocketChannel.open()) {
				var accepting = server.accept();
				client.connect(server.getLocalAddress()).get(10, TimeUnit.SECONDS);
				try (AsynchronousSocketChannel accepted = accepting.get(10, TimeUnit.SECONDS)) {
					ByteBuffer got = ByteBuffer.allocate(5);
					var reading = accepted.read(got);
					want(client.write(ByteBuffer.wrap(Answers.bytes(5))).get(10, TimeUnit.SECONDS) == 5, "written");
					want(reading.get(10, TimeUnit.SECONDS) == 5 && Arrays.equals(got.array(), Answers.bytes(5)), "read");
				}
			}
		});
		check("transfer-from-a-file", () -> {
			Path path = Files.createTempFile("inside", "");
			Files.write(path, Answers.bytes(2_000_000));
			try (ServerSocketChannel server = ServerSocketChannel.open().bind(new InetSocketAddress(here, 0));
				SocketChannel client = SocketChannel.open(server.getLocalAddress()); SocketChannel accepted = server.accept(); FileChannel file = FileChannel.open(path)) {
				background(() -> {
					for (long at = 0; at < file.size();)
						at += file.transferTo(at, file.size() - at, accepted);
					accepted.shutdownOutput();
				});
				want(Arrays.equals(client.socket().getInputStream().readAllBytes(), Answers.bytes(2_000_000)), "other bytes");
			}
			Files.delete(path);
		});
		check("unix-domain", () -> {
			UnixDomainSocketAddress address = UnixDomainSocketAddress.of(Files.createTempDirectory("inside").resolve("socket"));
			try (ServerSocketChannel server = ServerSocketChannel.open(StandardProtocolFamily.UNIX).bind(address);
				SocketChannel client = SocketChannel.open(address); SocketChannel accepted = server.accept()) {
				client.write(ByteBuffer.wrap(Answers.bytes(1000)));
				ByteBuffer got = ByteBuffer.allocate(1000);
				while (got.hasRemaining())
					want(accepted.read(got) > 0, "the end");
				want(Arrays.equals(got.array(), Answers.bytes(1000)), "other bytes");
			}
			Files.delete(address.getPath());
		});
		check("options", () -> {
			try (SocketChannel channel = SocketChannel.open()) {
				want(channel.setOption(StandardSocketOptions.TCP_NODELAY, true).getOption(StandardSocketOptions.TCP_NODELAY), "TCP_NODELAY");
				want(channel.setOption(StandardSocketOptions.SO_KEEPALIVE, true).getOption(StandardSocketOptions.SO_KEEPALIVE), "SO_KEEPALIVE");
				want(channel.setOption(StandardSocketOptions.SO_LINGER, 5).getOption(StandardSocketOptions.SO_LINGER) == 5, "SO_LINGER");
				want(channel.setOption(StandardSocketOptions.SO_RCVBUF, 50_000).getOption(StandardSocketOptions.SO_RCVBUF) >= 50_000, "SO_RCVBUF");
			}
		});
		check("tls-sockets", () -> {
			try (SSLServerSocket server = (SSLServerSocket)Keys.context().getServerSocketFactory().createServerSocket(0, 10, here)) {
				server.setEnabledProtocols(new String[] { "TLSv1.3" });
				background(() -> {
					for (int i = 0; i < 3; i++)
						try (Socket socket = server.accept()) {
							InputStream in = socket.getInputStream();
							byte[] got = in.readNBytes(100_000);
							socket.getOutputStream().write(got);
						}
				});
				var context = Keys.context();
				for (int i = 0; i < 3; i++)
					try (SSLSocket socket = (SSLSocket)context.getSocketFactory().createSocket("127.0.0.1", server.getLocalPort())) {
						socket.getOutputStream().write(Answers.bytes(100_000));
						want(Arrays.equals(socket.getInputStream().readAllBytes(), Answers.bytes(100_000)), "other bytes");
						want(socket.getSession().getProtocol().equals("TLSv1.3"), socket.getSession().getProtocol());
					}
			}
		});
		check("http-url-connection", () -> {
			HttpServer server = HttpServer.create(new InetSocketAddress(here, 0), 0);
			server.createContext("/", exchange -> {
				byte[] body = Answers.bytes(30_000);
				exchange.sendResponseHeaders(200, body.length);
				exchange.getResponseBody().write(body);
				exchange.close();
			});
			server.start();
			for (int i = 0; i < 5; i++)
				try (InputStream in = new URL("http://localhost:" + server.getAddress().getPort() + "/").openStream()) {
					want(Arrays.equals(in.readAllBytes(), Answers.bytes(30_000)), "other bytes");
				}
			server.stop(0);
		});
	}

	private static void remoteDatagrams(String host, int port) {
		check("udp-to-the-host", () -> {
			try (DatagramSocket socket = new DatagramSocket()) {
				socket.connect(new InetSocketAddress(host, port));
				socket.setSoTimeout(20_000);
				for (int n : new int[] { 1, 100, 1400, 1472 }) {
					DatagramPacket got = new DatagramPacket(new byte[2000], 2000);
					socket.send(new DatagramPacket(Answers.bytes(n), n));
					socket.receive(got);
					want(Arrays.equals(Arrays.copyOf(got.getData(), got.getLength()), Answers.bytes(n)), n + " bytes came as " + got.getLength());
				}
			}
		});
	}

	private static void echo(int port) throws IOException {
		try (DatagramSocket socket = new DatagramSocket(port, InetAddress.getByName("127.0.0.1"))) {
			for (;;) {
				DatagramPacket got = new DatagramPacket(new byte[65536], 65536);
				socket.receive(got);
				socket.send(got);
			}
		}
	}

	public static void main(String[] arguments) throws Exception {
		switch (arguments[0]) {
		case "local":
			names();
			datagrams();
			interfaces();
			connections();
			break;
		case "remote":
			failed += Http2Probe.run(new String[] { arguments[1], arguments[2], arguments[3] });
			failed += SocketProbe.run(new String[] { arguments[1], arguments[4] });
			remoteDatagrams(arguments[1], Integer.parseInt(arguments[5]));
			if (arguments.length > 6)
				failed += SqlProbe.run(new String[] { arguments[6], arguments[7], arguments[8], "10" });
			break;
		default:
			echo(Integer.parseInt(arguments[1]));
		}
		System.exit(failed == 0 ? 0 : 1);
	}
}
