import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.WebSocket;
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;

/** The JDK's WebSocket client with a server that sends back what it gets at /socket: {@code SocketProbe HOST PORT}. Text, binary, ping, close. */
public final class SocketProbe implements WebSocket.Listener {
	private final BlockingQueue<Object> got = new LinkedBlockingQueue<>();
	private final StringBuilder text = new StringBuilder();
	private byte[] binary = new byte[0];

	@Override
	public CompletionStage<?> onText(WebSocket socket, CharSequence data, boolean last) {
		text.append(data);
		if (last) {
			got.add(text.toString());
			text.setLength(0);
		}
		socket.request(1);
		return null;
	}

	@Override
	public CompletionStage<?> onBinary(WebSocket socket, ByteBuffer data, boolean last) {
		int length = binary.length;
		binary = Arrays.copyOf(binary, length + data.remaining());
		data.get(binary, length, binary.length - length);
		if (last) {
			got.add(binary);
			binary = new byte[0];
		}
		socket.request(1);
		return null;
	}

	@Override
	public CompletionStage<?> onPong(WebSocket socket, ByteBuffer data) {
		got.add("pong " + data.remaining());
		socket.request(1);
		return null;
	}

	@Override
	public CompletionStage<?> onClose(WebSocket socket, int status, String reason) {
		got.add("close " + status);
		return null;
	}

	private Object next() throws InterruptedException {
		Object one = got.poll(30, TimeUnit.SECONDS);
		if (one == null)
			throw new IllegalStateException("nothing came for 30 s");
		return one;
	}

	private static void want(boolean right, String what) {
		if (!right)
			throw new IllegalStateException(what);
	}

	private void exchange(String address) throws Exception {
		WebSocket socket = HttpClient.newHttpClient().newWebSocketBuilder().buildAsync(URI.create("ws://" + address + "/socket"), this).get(30, TimeUnit.SECONDS);
		for (int i = 0; i < 50; i++) {
			socket.sendText("message " + i, true).get();
			want(next().equals("message " + i), "text");
		}
		socket.sendBinary(ByteBuffer.wrap(Answers.bytes(50_000)), true).get();
		want(Arrays.equals((byte[])next(), Answers.bytes(50_000)), "binary");
		socket.sendPing(ByteBuffer.wrap(new byte[] { 1, 2, 3 })).get();
		want(next().equals("pong 3"), "pong");
		socket.sendClose(WebSocket.NORMAL_CLOSURE, "").get();
		want(next().equals("close 1000"), "close");
	}

	/** The same for a program that goes on: 0, or the status with which this one would end. */
	static int run(String[] arguments) {
		int status = 0;
		try {
			new SocketProbe().exchange(arguments[0] + ":" + arguments[1]);
			System.out.println("ok client-websocket");
		} catch (Exception e) {
			System.out.println("not ok client-websocket " + e);
			status = 1;
		}
		return status;
	}

	public static void main(String[] arguments) {
		System.exit(run(arguments));
	}
}
