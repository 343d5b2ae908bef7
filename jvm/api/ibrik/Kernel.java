package ibrik;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * The kernel of ibrik, called from Java without a system call.
 *
 * <p>Application and kernel share one address space and one ring, so a kernel function is a function like any other. What
 * may be called, and what each function promises, is listed in {@code kernel/vdso/exports.h}; {@code docs/jvm.md} tells how to
 * use this class and what a call costs. From JDK 22 on calls go through the Foreign Function API, before that through
 * a small JNI library that this jar holds.
 *
 * <p>Every method may be called by any thread at any time. On another system {@link #isPresent()} is false and every other
 * method throws the same {@link UnsupportedOperationException}, whose message says why.
 */
public final class Kernel {
	/**
	 * Memory of the machine, in bytes.
	 *
	 * @param total what the kernel manages
	 * @param free what nobody uses
	 * @param available what an application can still get: free, and pages of files that can be read again
	 * @param files the page cache: files on disk of which a copy is in memory
	 * @param tmpfs files that exist in memory only, such as those in /tmp
	 * @param anonymous heaps and stacks: what was touched of them
	 * @param slab small objects of the kernel
	 * @param pageTables page tables
	 * @param kernelStacks kernel stacks of threads
	 * @param committed what was promised to the application, touched or not
	 * @param commitLimit how much can be promised at most
	 */
	public record Memory(long total, long free, long available, long files, long tmpfs, long anonymous, long slab,
			long pageTables, long kernelStacks, long committed, long commitLimit) {
	}

	/**
	 * How short memory is, in bytes where nothing else is said.
	 *
	 * @param free what nobody uses
	 * @param low when less than this is free, the kernel gives up pages of files ...
	 * @param high ... until so much is free again
	 * @param reclaimed what it has given up since the machine started
	 * @param refused the largest promise of memory that was refused; 0 when none was
	 * @param failures how often the kernel itself did not get memory
	 */
	public record Pressure(long free, long low, long high, long reclaimed, long refused, long failures) {
		/** Is so little free that the kernel takes memory from files now? */
		public boolean isShort() {
			return free < low;
		}
	}

	private static final Calls CALLS;
	private static final String ABSENT;
	private static final Map<String, Integer> FIGURES;

	static {
		Calls calls = null;
		Map<String, Integer> figures = new HashMap<>();
		String absent = null;
		try {
			calls = open();
			for (int i = 0; calls.figure(i) >= 0; i++)
				figures.put(calls.figureName(i), i);
		} catch (UnsupportedOperationException e) {
			absent = e.getMessage();
		} catch (RuntimeException | LinkageError e) {
			Throwable cause = e.getCause() == null ? e : e.getCause();
			absent = "the kernel of ibrik cannot be called: " + cause;
			calls = null;
		}
		CALLS = calls;
		ABSENT = absent;
		FIGURES = figures;
	}

	private Kernel() {
	}

	private static Calls open() {
		String version = System.getProperty("os.version", "");
		/* Looked at first, so that on other systems no library is unpacked and nothing asks for access to native code. */
		if (!version.endsWith("-ibrik"))
			throw new UnsupportedOperationException("not on ibrik: this is " + System.getProperty("os.name") + " " + version);
		return Runtime.version().feature() >= 22 ? new ForeignCalls() : new JniCalls();
	}

	private static Calls calls() {
		if (CALLS == null)
			throw new UnsupportedOperationException(ABSENT);
		return CALLS;
	}

	private static long figure(String name) {
		Calls calls = calls();
		Integer which = FIGURES.get(name);
		return which == null ? 0 : calls.figure(which);
	}

	/** Can the kernel be called? If not, the other methods throw and say why. */
	public static boolean isPresent() {
		return CALLS != null;
	}

	/** Nanoseconds since the machine started; never goes back on any CPU. */
	public static long nanoTime() {
		return calls().nanoTime();
	}

	/** The number of the CPU that the calling thread ran on; it may be another one by now. */
	public static int cpu() {
		return calls().cpu();
	}

	/** The machine's memory now. The parts are read one after the other, while others allocate and free. */
	public static Memory memory() {
		return new Memory(figure("memory.total"), figure("memory.free"), figure("memory.available"), figure("memory.files"),
				figure("memory.tmpfs"), figure("memory.anonymous"), figure("memory.slab"), figure("memory.page_tables"),
				figure("memory.kernel_stacks"), figure("memory.committed"), figure("memory.commit_limit"));
	}

	/** How short memory is now. */
	public static Pressure pressure() {
		return new Pressure(figure("memory.free"), figure("pressure.low"), figure("pressure.high"), figure("pressure.reclaimed"),
				figure("pressure.refused"), figure("pressure.failures"));
	}

	/** What the kernel has counted since the machine started, by name: {@code faults}, {@code switches} and so on. */
	public static Map<String, Long> counters() {
		Calls calls = calls();
		List<String> names = new ArrayList<>(FIGURES.keySet());
		Map<String, Long> counters = new LinkedHashMap<>();
		Collections.sort(names);
		for (String name : names)
			if (name.startsWith("counter."))
				counters.put(name.substring(8), calls.figure(FIGURES.get(name)));
		return counters;
	}

	/**
	 * Gives the memory behind the bytes from position to limit of a direct buffer back to the machine.
	 *
	 * <p>Only whole pages (4 KiB) that lie inside go: they read as zero from then on, and get memory again when they
	 * are written. Every other byte keeps its value, inside the buffer and outside. Position and limit stay.
	 *
	 * @return how many bytes of memory were given back: 0 if no whole page lies inside, or none of them held memory
	 * @throws IllegalArgumentException if the buffer is not direct or is read-only, or its memory is no memory of its own: a mapped
	 *         file, or memory that is shared or gone; then nothing has changed
	 */
	public static long release(ByteBuffer buffer) {
		Calls calls = calls();
		if (!buffer.isDirect())
			throw new IllegalArgumentException("not a direct buffer: its memory belongs to the Java heap");
		if (buffer.isReadOnly())
			throw new IllegalArgumentException("a read-only buffer");
		long bytes = calls.release(buffer);
		if (bytes < 0)
			throw new IllegalArgumentException("the memory of the buffer cannot be given back: " + reason((int) -bytes));
		return bytes;
	}

	private static String reason(int errno) {
		return switch (errno) {
			case 12 -> "part of it is not mapped, or there is no memory to split a large page (ENOMEM)";
			case 13 -> "part of it is not writable (EACCES)";
			case 22 -> "it is a file or shared memory (EINVAL)";
			default -> "error " + errno;
		};
	}
}
