import org.eclipse.jetty.alpn.server.ALPNServerConnectionFactory;
import org.eclipse.jetty.http2.server.HTTP2CServerConnectionFactory;
import org.eclipse.jetty.http2.server.HTTP2ServerConnectionFactory;
import org.eclipse.jetty.io.Content;
import org.eclipse.jetty.server.Handler;
import org.eclipse.jetty.server.HttpConfiguration;
import org.eclipse.jetty.server.HttpConnectionFactory;
import org.eclipse.jetty.server.Request;
import org.eclipse.jetty.server.Response;
import org.eclipse.jetty.server.SecureRequestCustomizer;
import org.eclipse.jetty.server.Server;
import org.eclipse.jetty.server.ServerConnector;
import org.eclipse.jetty.server.SslConnectionFactory;
import org.eclipse.jetty.util.Callback;
import org.eclipse.jetty.util.ssl.SslContextFactory;
import java.nio.ByteBuffer;

/** Jetty: HTTP/1.1 and HTTP/2 in clear text, and both over TLS at the next port if there is a key store. */
public final class JettyServer {
	private JettyServer() {
	}

	static final class Answering extends Handler.Abstract {
		@Override
		public boolean handle(Request request, Response response, Callback callback) throws Exception {
			ByteBuffer body = Content.Source.asByteBuffer(request);
			byte[] bytes = new byte[body.remaining()];
			body.get(bytes);
			String path = request.getHttpURI().getPath();
			byte[] answer = Answers.to(request.getMethod(), path, request.getHttpURI().getQuery(), bytes);
			if (answer == null) {
				Response.writeError(request, response, callback, 404);
				return true;
			}
			response.getHeaders().put("Content-Length", answer.length);
			response.write(true, ByteBuffer.wrap(answer), callback);
			if (path.equals("/stop"))
				Answers.later(() -> end(getServer()));
			return true;
		}
	}

	private static void end(Server server) {
		try {
			server.stop();
		} catch (Exception e) {
			throw new IllegalStateException(e);
		}
	}

	public static void main(String[] arguments) throws Exception {
		int port = Integer.parseInt(arguments[0]);
		Server server = new Server();
		HttpConfiguration plain = new HttpConfiguration();
		ServerConnector connector = new ServerConnector(server, new HttpConnectionFactory(plain), new HTTP2CServerConnectionFactory(plain));
		connector.setPort(port);
		server.addConnector(connector);
		if (Keys.present()) {
			HttpConfiguration secure = new HttpConfiguration();
			secure.addCustomizer(new SecureRequestCustomizer(false));
			HttpConnectionFactory http1 = new HttpConnectionFactory(secure);
			ALPNServerConnectionFactory alpn = new ALPNServerConnectionFactory();
			alpn.setDefaultProtocol(http1.getProtocol());
			SslContextFactory.Server tls = new SslContextFactory.Server();
			tls.setSslContext(Keys.context());
			ServerConnector over = new ServerConnector(server, new SslConnectionFactory(tls, alpn.getProtocol()), alpn, new HTTP2ServerConnectionFactory(secure), http1);
			over.setPort(port + 1);
			server.addConnector(over);
		}
		server.setHandler(new Answering());
		server.start();
		server.join();
	}
}
