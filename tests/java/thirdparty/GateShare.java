import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import javax.tools.JavaCompiler;
import javax.tools.ToolProvider;

/**
 * How many of an application's system calls reach the kernel through the call gate once it has warmed up.
 *
 * <p>Each workload, a database and a compiler, runs some rounds to warm up (a site is judged when it has been executed eight times,
 * so what happens once a round comes late); the calls of the rounds after that are counted by {@code /proc/ibrik/syscalls}. Prints {@code NAME gate N trap N}, and calls that still trapped. On another system it runs the
 * same and prints {@code NAME done}.
 */
public final class GateShare {
	/* On a host several may run beside each other. */
	private static final Path TMP = Path.of(System.getProperty("java.io.tmpdir"));

	private static final Path COUNTS = Path.of("/proc/ibrik/syscalls");

	private GateShare() {
	}

	interface Workload {
		void run(int round) throws Exception;
	}

	/** Lines of the counters: those of both entries, then one for each call. */
	private static List<String> counts() throws IOException {
		return Files.exists(COUNTS) ? Files.readAllLines(COUNTS) : List.of();
	}

	private static long number(List<String> lines, String first) {
		for (String line : lines)
			if (line.startsWith(first + " "))
				return Long.parseLong(line.substring(first.length() + 1));
		throw new IllegalStateException(COUNTS + " has no line " + first);
	}

	private static void measure(String name, int warmUps, int rounds, Workload workload) throws Exception {
		for (int round = 0; round < warmUps; round++)
			workload.run(round);
		List<String> before = counts();
		for (int round = 0; round < rounds; round++)
			workload.run(warmUps + round);
		List<String> after = counts();
		if (after.isEmpty()) {
			System.out.println(name + " done");
			return;
		}
		for (String line : after) {
			String[] word = line.split(" ");
			if (!word[0].equals("call"))
				continue;
			long trapped = Long.parseLong(word[6]);
			for (String old : before)
				if (old.startsWith("call " + word[1] + " "))
					trapped -= Long.parseLong(old.split(" ")[6]);
			if (trapped > 0)
				System.out.println("trapped " + word[2] + " " + trapped);
		}
		System.out.println(name + " gate " + (number(after, "gate") - number(before, "gate")) + " trap "
			+ (number(after, "trap") - number(before, "trap")));
	}

	/** A table in a file, so that pages are written and read; the statements are transactions of their own. */
	private static void database(Connection connection) throws Exception {
		try (Statement statement = connection.createStatement()) {
			statement.execute("CREATE TABLE item(id INT PRIMARY KEY, name VARCHAR(500), price DECIMAL(10,2))");
			try (PreparedStatement insert = connection.prepareStatement("INSERT INTO item VALUES(?, ?, ?)")) {
				for (int i = 0; i < 400; i++) {
					insert.setInt(1, i);
					insert.setString(2, "item " + i + " ".repeat(400) + ".");
					insert.setInt(3, i * 2);
					insert.execute();
					if (i % 10 == 0)
						statement.execute("CHECKPOINT SYNC");
				}
			}
			statement.execute("UPDATE item SET price = price + 1 WHERE MOD(id, 2) = 0");
			try (ResultSet result = statement.executeQuery("SELECT COUNT(*), SUM(price) FROM item")) {
				if (!result.next() || result.getInt(1) != 400 || result.getInt(2) != 399 * 400 + 200)
					throw new IllegalStateException("the database counts " + result.getInt(1) + ", " + result.getInt(2));
			}
			statement.execute("DROP TABLE item");
		}
	}

	private static void compile(int round) throws Exception {
		JavaCompiler compiler = ToolProvider.getSystemJavaCompiler();
		Path classes = Files.createDirectories(TMP.resolve("gate-share-classes-" + round));
		List<String> arguments = new ArrayList<>(List.of("-nowarn", "-encoding", "UTF-8", "-cp", System.getProperty("sources.cp"), "-d",
			classes.toString()));
		try (Stream<Path> sources = Files.walk(Path.of(System.getProperty("sources")))) {
			sources.filter(p -> p.toString().endsWith(".java")).forEach(p -> arguments.add(p.toString()));
		}
		int status = compiler.run(null, null, null, arguments.toArray(String[]::new));
		if (status != 0)
			throw new IllegalStateException("javac ends with status " + status);
	}

	public static void main(String[] arguments) throws Exception {
		try (Connection connection = DriverManager.getConnection("jdbc:h2:file:" + TMP.resolve("gate-share"), "sa", "")) {
			measure("h2", 2, 3, round -> database(connection));
		}
		measure("javac", 1, 1, GateShare::compile);
	}
}
