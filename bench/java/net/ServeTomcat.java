import jakarta.servlet.http.HttpServlet;
import jakarta.servlet.http.HttpServletRequest;
import jakarta.servlet.http.HttpServletResponse;
import java.io.IOException;
import java.util.logging.Level;
import java.util.logging.Logger;
import org.apache.catalina.Context;
import org.apache.catalina.startup.Tomcat;

/** Tomcat, embedded, with its own settings but that connections are kept: GET /hello answers, GET /stop ends the program. */
public class ServeTomcat {
	private static final byte[] HELLO = "Hello, world\n".getBytes();

	public static void main(String[] args) throws Exception {
		Logger.getLogger("").setLevel(Level.WARNING);
		Tomcat tomcat = new Tomcat();
		tomcat.setBaseDir("/tmp/tomcat");
		tomcat.setPort(8080);
		/* 100 requests a connection would measure how connections are made. */
		tomcat.getConnector().setProperty("maxKeepAliveRequests", "-1");
		Context context = tomcat.addContext("", "/tmp");
		Tomcat.addServlet(context, "hello", new HttpServlet() {
			@Override
			protected void doGet(HttpServletRequest request, HttpServletResponse response) throws IOException {
				response.setContentType("text/plain");
				response.setContentLength(HELLO.length);
				response.getOutputStream().write(HELLO);
			}
		});
		Tomcat.addServlet(context, "stop", new HttpServlet() {
			@Override
			protected void doGet(HttpServletRequest request, HttpServletResponse response) throws IOException {
				response.flushBuffer();
				System.out.println("done");
				Runtime.getRuntime().halt(0);
			}
		});
		context.addServletMappingDecoded("/hello", "hello");
		context.addServletMappingDecoded("/stop", "stop");
		tomcat.start();
		System.out.println("ready");
		tomcat.getServer().await();
	}
}
