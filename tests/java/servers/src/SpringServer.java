import java.io.IOException;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.EnableAutoConfiguration;
import org.springframework.context.ConfigurableApplicationContext;
import org.springframework.context.annotation.Configuration;
import org.springframework.context.annotation.Import;
import org.springframework.http.HttpMethod;
import org.springframework.http.ResponseEntity;
import org.springframework.web.bind.annotation.RequestBody;
import org.springframework.web.bind.annotation.RequestMapping;
import org.springframework.web.bind.annotation.RestController;
import jakarta.servlet.http.HttpServletRequest;

/** A Spring Boot application with Spring MVC on Tomcat, and Actuator. */
@Configuration
@EnableAutoConfiguration
@Import(SpringServer.Controller.class)
public class SpringServer {
	private static ConfigurableApplicationContext application;

	@RestController
	public static class Controller {
		@RequestMapping({ "/hello", "/bytes", "/sum", "/echo", "/counts", "/memory", "/stop" })
		public ResponseEntity<byte[]> answer(HttpMethod method, HttpServletRequest request, @RequestBody(required = false) byte[] body) throws IOException {
			byte[] answer = Answers.to(method.name(), request.getRequestURI(), request.getQueryString(), body == null ? new byte[0] : body);
			if (request.getRequestURI().equals("/stop"))
				Answers.later(() -> System.exit(SpringApplication.exit(application)));
			return answer == null ? ResponseEntity.notFound().build() : ResponseEntity.ok(answer);
		}
	}

	public static void main(String[] arguments) {
		application = SpringApplication.run(SpringServer.class, arguments);
	}
}
