import io.netty.bootstrap.ServerBootstrap;
import io.netty.buffer.ByteBufUtil;
import io.netty.buffer.Unpooled;
import io.netty.channel.Channel;
import io.netty.channel.ChannelFuture;
import io.netty.channel.ChannelFutureListener;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelInitializer;
import io.netty.channel.EventLoopGroup;
import io.netty.channel.SimpleChannelInboundHandler;
import io.netty.channel.epoll.Epoll;
import io.netty.channel.epoll.EpollEventLoopGroup;
import io.netty.channel.epoll.EpollServerSocketChannel;
import io.netty.channel.nio.NioEventLoopGroup;
import io.netty.channel.socket.SocketChannel;
import io.netty.channel.socket.nio.NioServerSocketChannel;
import io.netty.handler.codec.http.DefaultFullHttpResponse;
import io.netty.handler.codec.http.FullHttpRequest;
import io.netty.handler.codec.http.HttpHeaderNames;
import io.netty.handler.codec.http.HttpObjectAggregator;
import io.netty.handler.codec.http.HttpResponseStatus;
import io.netty.handler.codec.http.HttpServerCodec;
import io.netty.handler.codec.http.HttpUtil;
import io.netty.handler.codec.http.HttpVersion;
import io.netty.handler.codec.http.QueryStringDecoder;
import io.netty.handler.codec.http.websocketx.TextWebSocketFrame;
import io.netty.handler.codec.http.websocketx.WebSocketFrame;
import io.netty.handler.codec.http.websocketx.WebSocketServerProtocolHandler;

/** Netty with HTTP/1.1 and a WebSocket at /socket that sends back what it gets: by NIO, and by its native epoll transport at the next port. */
public final class NettyServer {
	private static Runnable stop;

	private NettyServer() {
	}

	static final class Answering extends SimpleChannelInboundHandler<FullHttpRequest> {
		@Override
		protected void channelRead0(ChannelHandlerContext context, FullHttpRequest request) throws Exception {
			QueryStringDecoder uri = new QueryStringDecoder(request.uri());
			byte[] answer = Answers.to(request.method().name(), uri.path(), uri.rawQuery(), ByteBufUtil.getBytes(request.content()));
			DefaultFullHttpResponse response = answer == null ? new DefaultFullHttpResponse(HttpVersion.HTTP_1_1, HttpResponseStatus.NOT_FOUND)
				: new DefaultFullHttpResponse(HttpVersion.HTTP_1_1, HttpResponseStatus.OK, Unpooled.wrappedBuffer(answer));
			response.headers().setInt(HttpHeaderNames.CONTENT_LENGTH, response.content().readableBytes());
			HttpUtil.setKeepAlive(response, HttpUtil.isKeepAlive(request));
			ChannelFuture written = context.writeAndFlush(response);
			if (!HttpUtil.isKeepAlive(request))
				written.addListener(ChannelFutureListener.CLOSE);
			if (uri.path().equals("/stop"))
				Answers.later(stop);
		}

		@Override
		public void exceptionCaught(ChannelHandlerContext context, Throwable cause) {
			context.close();
		}
	}

	static final class Echoing extends SimpleChannelInboundHandler<WebSocketFrame> {
		@Override
		protected void channelRead0(ChannelHandlerContext context, WebSocketFrame frame) {
			if (frame instanceof TextWebSocketFrame text)
				context.writeAndFlush(new TextWebSocketFrame(text.text()));
			else
				context.writeAndFlush(frame.retain());
		}
	}

	private static Channel serve(EventLoopGroup accepting, EventLoopGroup group, boolean nio, int port) throws InterruptedException {
		ServerBootstrap bootstrap = new ServerBootstrap().group(accepting, group).channel(nio ? NioServerSocketChannel.class : EpollServerSocketChannel.class);
		bootstrap.childHandler(new ChannelInitializer<SocketChannel>() {
			@Override
			protected void initChannel(SocketChannel channel) {
				channel.pipeline().addLast(new HttpServerCodec(), new HttpObjectAggregator(16 << 20), new WebSocketServerProtocolHandler("/socket"),
					new Echoing(), new Answering());
			}
		});
		return bootstrap.bind(port).sync().channel();
	}

	@SuppressWarnings("deprecation") // the same program for Netty 4.1 and 4.2
	public static void main(String[] arguments) throws Exception {
		int port = Integer.parseInt(arguments[0]);
		EventLoopGroup[] groups = { new NioEventLoopGroup(1), new NioEventLoopGroup(), new EpollEventLoopGroup(1), new EpollEventLoopGroup() };
		stop = () -> {
			for (EventLoopGroup group : groups)
				group.shutdownGracefully(0, 1000, java.util.concurrent.TimeUnit.MILLISECONDS);
		};
		Epoll.ensureAvailability();
		Channel nio = serve(groups[0], groups[1], true, port), epoll = serve(groups[2], groups[3], false, port + 1);
		nio.closeFuture().sync();
		epoll.closeFuture().sync();
	}
}
