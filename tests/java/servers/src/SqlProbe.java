import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;

/** A JDBC client: {@code SqlProbe URL USER PASSWORD SECONDS}. A table, rows in batches, a transaction taken back, large values. For H2 over TCP and PostgreSQL. */
public final class SqlProbe {
	private SqlProbe() {
	}

	private static Connection connect(String[] arguments) throws Exception {
		long end = System.nanoTime() + Integer.parseInt(arguments[3]) * 1_000_000_000L;
		for (;;) {
			try {
				return DriverManager.getConnection(arguments[0], arguments[1], arguments[2]);
			} catch (SQLException e) {
				if (System.nanoTime() > end)
					throw e;
			}
			Thread.sleep(200);
		}
	}

	private static long number(Statement statement, String query) throws SQLException {
		try (ResultSet result = statement.executeQuery(query)) {
			result.next();
			return result.getLong(1);
		}
	}

	private static void want(long got, long want, String what) {
		if (got != want)
			throw new IllegalStateException(what + ": " + got + ", not " + want);
	}

	/** The same for a program that goes on: 0, or the status with which this one would end. */
	static int run(String[] arguments) {
		int status = 0;
		try (Connection connection = connect(arguments); Statement statement = connection.createStatement()) {
			System.out.println("ok answers");
			statement.execute("DROP TABLE IF EXISTS item");
			statement.execute("CREATE TABLE item(id INT PRIMARY KEY, name VARCHAR(200000), price INT)");
			try (PreparedStatement insert = connection.prepareStatement("INSERT INTO item VALUES(?, ?, ?)")) {
				for (int i = 0; i < 2000; i++) {
					insert.setInt(1, i);
					insert.setString(2, i == 7 ? "x".repeat(200_000) : "item " + i);
					insert.setInt(3, i * 2);
					insert.addBatch();
					if (i % 100 == 99)
						insert.executeBatch();
				}
			}
			want(number(statement, "SELECT COUNT(*) FROM item"), 2000, "rows");
			want(number(statement, "SELECT SUM(price) FROM item"), 1999L * 2000, "sum");
			want(number(statement, "SELECT LENGTH(name) FROM item WHERE id = 7"), 200_000, "a long value");
			System.out.println("ok table");
			connection.setAutoCommit(false);
			statement.execute("UPDATE item SET price = 0");
			want(number(statement, "SELECT SUM(price) FROM item"), 0, "sum in the transaction");
			connection.rollback();
			want(number(statement, "SELECT SUM(price) FROM item"), 1999L * 2000, "sum after it was taken back");
			System.out.println("ok transaction");
			long rows = 0;
			statement.setFetchSize(50);
			try (ResultSet result = statement.executeQuery("SELECT id, name FROM item ORDER BY id")) {
				while (result.next()) {
					want(result.getInt(1), rows, "order");
					rows++;
				}
			}
			want(rows, 2000, "rows read");
			connection.commit();
			statement.execute("DROP TABLE item");
			connection.commit();
			System.out.println("ok cursor");
		} catch (Exception e) {
			System.out.println("not ok sql " + e);
			status = 1;
		}
		return status;
	}

	public static void main(String[] arguments) {
		System.exit(run(arguments));
	}
}
