import jakarta.servlet.http.HttpServlet;
import jakarta.servlet.http.HttpServletRequest;
import jakarta.servlet.http.HttpServletResponse;
import java.io.IOException;
import org.apache.catalina.Context;
import org.apache.catalina.LifecycleException;
import org.apache.catalina.startup.Tomcat;

/** Tomcat, embedded, with its defaults. */
public final class TomcatServer {
	private TomcatServer() {
	}

	static final class Servlet extends HttpServlet {
		private static final long serialVersionUID = 1;
		private final transient Tomcat tomcat;

		Servlet(Tomcat tomcat) {
			this.tomcat = tomcat;
		}

		@Override
		protected void service(HttpServletRequest request, HttpServletResponse response) throws IOException {
			byte[] answer = Answers.to(request.getMethod(), request.getRequestURI(), request.getQueryString(), request.getInputStream().readAllBytes());
			if (answer == null) {
				response.sendError(404);
				return;
			}
			response.setContentType("application/octet-stream");
			response.setContentLength(answer.length);
			response.getOutputStream().write(answer);
			if (request.getRequestURI().equals("/stop"))
				Answers.later(() -> end(tomcat));
		}
	}

	private static void end(Tomcat tomcat) {
		try {
			tomcat.stop();
			tomcat.destroy();
		} catch (LifecycleException e) {
			throw new IllegalStateException(e);
		}
	}

	public static void main(String[] arguments) throws Exception {
		Tomcat tomcat = new Tomcat();
		tomcat.setBaseDir("/tmp/tomcat");
		tomcat.setPort(Integer.parseInt(arguments[0]));
		tomcat.getConnector();
		Context context = tomcat.addContext("", null);
		Tomcat.addServlet(context, "answers", new Servlet(tomcat));
		context.addServletMappingDecoded("/", "answers");
		tomcat.start();
		tomcat.getServer().await();
	}
}
