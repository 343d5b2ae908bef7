import java.lang.management.ManagementFactory;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;

/**
 * Runs checks inside one JVM: {@code Checks BUNDLE[.NAME]...}.
 *
 * A bundle is a class {@code <Bundle>Checks}; each of its static methods without parameters is a check. A check runs
 * on a thread of its own; it fails by throwing anything, on a thread that it has started too, and is given up after a
 * time limit. One line a check:
 * {@code ok bundle.name}, {@code not ok bundle.name reason} or {@code skip bundle.name reason}.
 * The system property {@code slow} (default 1) multiplies the time limit.
 */
public final class Checks {
	/** Thrown by a check that does not apply to this JDK or machine. */
	static final class Skip extends RuntimeException {
		Skip(String reason) {
			super(reason, null, false, false);
		}
	}

	static final int LIMIT_SECONDS = 60 * Integer.getInteger("slow", 1);

	/** What ended a thread of the check that runs. */
	private static volatile Throwable stray;

	private Checks() {
	}

	static void check(boolean condition, String reason) {
		if (!condition)
			throw new AssertionError(reason);
	}

	static void equal(Object got, Object want) {
		if (!got.equals(want))
			throw new AssertionError("got " + got + ", not " + want);
	}

	static int release() {
		return Runtime.version().feature();
	}

	private static boolean isOfACheck(Throwable t) {
		for (StackTraceElement e : t.getStackTrace())
			if (e.getClassName().contains("Checks"))
				return true;
		return false;
	}

	private static String reason(Throwable t) {
		StackTraceElement[] at = t.getStackTrace();
		String text = t instanceof AssertionError && t.getMessage() != null ? t.getMessage() : t.toString();
		for (StackTraceElement e : at)
			if (e.getClassName().endsWith("Checks") && !e.getClassName().equals("Checks")) {
				text += " (" + e.getFileName() + ":" + e.getLineNumber() + ")";
				break;
			}
		return text.replace('\n', ' ');
	}

	private static String run(Method check) throws InterruptedException {
		String[] result = { null };
		stray = null;
		Thread thread = new Thread(null, () -> {
			String line;
			try {
				check.invoke(null);
				line = "ok";
			} catch (InvocationTargetException e) {
				Throwable cause = e.getCause();
				line = cause instanceof Skip ? "skip " + cause.getMessage() : "not ok " + reason(cause);
			} catch (Throwable t) {
				line = "not ok " + reason(t);
			}
			result[0] = line;
		}, check.getName());
		thread.setDaemon(true);
		thread.start();
		thread.join(LIMIT_SECONDS * 1000L);
		if (thread.isAlive()) {
			StringBuilder where = new StringBuilder();
			StackTraceElement[] at = thread.getStackTrace();
			for (int i = 0; i < Math.min(6, at.length); i++)
				where.append(' ').append(at[i]);
			return "not ok no end after " + LIMIT_SECONDS + " s, at" + where;
		}
		Throwable t = stray;
		return t == null || result[0].startsWith("not ok") ? result[0] : "not ok a thread of it ended: " + reason(t);
	}

	public static void main(String[] args) throws Exception {
		boolean failed = false;
		Thread.setDefaultUncaughtExceptionHandler((thread, t) -> {
			if (isOfACheck(t))
				stray = t;
			t.printStackTrace();
		});
		for (String arg : args.length == 0 ? new String[] { "base" } : args) {
			int dot = arg.indexOf('.');
			String bundle = dot < 0 ? arg : arg.substring(0, dot);
			Class<?> type = Class.forName(Character.toUpperCase(bundle.charAt(0)) + bundle.substring(1) + "Checks");
			List<Method> checks = new ArrayList<>();
			for (Method m : type.getDeclaredMethods())
				if (Modifier.isStatic(m.getModifiers()) && !Modifier.isPrivate(m.getModifiers()) && !m.isSynthetic()
						&& !Modifier.isNative(m.getModifiers())
						&& m.getParameterCount() == 0 && m.getReturnType() == void.class
						&& (dot < 0 || m.getName().equals(arg.substring(dot + 1)))) {
					m.setAccessible(true);
					checks.add(m);
				}
			if (checks.isEmpty()) {
				failed = true;
				System.out.println("not ok " + arg + " there is no such check");
			}
			checks.sort(Comparator.comparing(Method::getName));
			for (Method check : checks) {
				long start = System.nanoTime();
				String line = run(check);
				int end = line.startsWith("not ok") ? 6 : line.startsWith("skip") ? 4 : 2;
				failed |= end == 6;
				System.out.println(line.substring(0, end) + " " + bundle + "." + check.getName() + line.substring(end));
				if (Boolean.getBoolean("times"))
					System.err.println((System.nanoTime() - start) / 1000000 + " ms " + check.getName());
			}
		}
		System.out.println("# " + Runtime.version() + " " + Runtime.getRuntime().availableProcessors() + " CPUs, heap "
				+ (Runtime.getRuntime().maxMemory() >> 20) + " MiB, "
				+ ManagementFactory.getGarbageCollectorMXBeans().get(0).getName() + " " + Arrays.toString(args));
		System.out.flush();
		System.exit(failed ? 1 : 0);
	}
}
