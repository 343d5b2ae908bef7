import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.TreeMap;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.regex.Pattern;

/*
 * The second program of the smallest-memory search: what a small tool does. It writes
 * a text file, counts its words in four threads with a regular expression, sorts the
 * result and prints one line. The count is checked, so a guest that loses data fails.
 */
public class Small {
	private static final int LINES = 4000;
	private static final int THREADS = 4;
	private static final Pattern WORD = Pattern.compile("[a-z]+[0-9]*");

	private static TreeMap<String, Integer> count(List<String> lines) {
		TreeMap<String, Integer> words = new TreeMap<>();
		for (String line : lines) {
			var match = WORD.matcher(line);
			while (match.find())
				words.merge(match.group(), 1, Integer::sum);
		}
		return words;
	}

	public static void main(String[] args) throws Exception {
		List<String> text = new ArrayList<>();
		for (int i = 0; i < LINES; i++)
			text.add(String.format("line%d of the text word%d and word%d", i, i % 97, i % 31));
		Path file = Files.createTempFile("small", ".txt");
		Files.write(file, text);

		List<String> lines = Files.readAllLines(file);
		ExecutorService pool = Executors.newFixedThreadPool(THREADS);
		List<Future<TreeMap<String, Integer>>> parts = new ArrayList<>();
		for (int i = 0; i < THREADS; i++) {
			var part = lines.subList(i * LINES / THREADS, (i + 1) * LINES / THREADS);
			parts.add(pool.submit(() -> count(part)));
		}
		TreeMap<String, Integer> all = new TreeMap<>();
		for (var part : parts)
			part.get().forEach((word, n) -> all.merge(word, n, Integer::sum));
		pool.shutdown();
		pool.awaitTermination(10, TimeUnit.SECONDS);
		Files.delete(file);

		int total = all.values().stream().mapToInt(Integer::intValue).sum();
		if (total != LINES * 7 || all.get("the") != LINES)
			throw new IllegalStateException("counted " + total + " words");
		System.out.println("small program done, " + all.size() + " words");
	}
}
