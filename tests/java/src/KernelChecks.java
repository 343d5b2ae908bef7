import ibrik.Kernel;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Map;
import java.util.concurrent.atomic.AtomicReference;

/** The kernel's functions as Java calls them. On another system each check sees that its call says so. */
final class KernelChecks {
	private static final int PAGE = 4096;

	private KernelChecks() {
	}

	/** True on another system, after the call has thrown the one exception. */
	private static boolean elsewhere(Runnable call) {
		if (System.getProperty("os.version").endsWith("-ibrik")) {
			Checks.check(Kernel.isPresent(), "the kernel is not present on ibrik");
			return false;
		}
		Checks.check(!Kernel.isPresent(), "the kernel is present on " + System.getProperty("os.version"));
		try {
			call.run();
		} catch (UnsupportedOperationException e) {
			Checks.check(e.getMessage().startsWith("not on ibrik: "), e.getMessage());
			return true;
		}
		throw new AssertionError("no exception on another system");
	}

	private static ByteBuffer filled(int bytes) {
		ByteBuffer buffer = ByteBuffer.allocateDirect(bytes);
		for (int i = 0; i < bytes; i++)
			buffer.put(i, (byte) 'x');
		return buffer;
	}

	private static void refused(ByteBuffer buffer, String reason) {
		try {
			long bytes = Kernel.release(buffer);
			throw new AssertionError("gave " + bytes + " bytes back, not: " + reason);
		} catch (IllegalArgumentException e) {
			Checks.check(e.getMessage().contains(reason), e.getMessage());
		}
	}

	static void nanoTimeIsThatOfTheSystem() {
		if (elsewhere(Kernel::nanoTime))
			return;
		for (int i = 0; i < 100000; i++) {
			long before = System.nanoTime(), now = Kernel.nanoTime(), after = System.nanoTime();
			Checks.check(before <= now && now <= after, before + " " + now + " " + after);
		}
	}

	static void cpuIsOneOfThoseThatThereAre() throws Exception {
		if (elsewhere(Kernel::cpu))
			return;
		AtomicReference<String> wrong = new AtomicReference<>();
		Thread[] threads = new Thread[8];
		for (int t = 0; t < threads.length; t++) {
			threads[t] = new Thread(() -> {
				for (int i = 0; i < 20000; i++) {
					int cpu = Kernel.cpu();
					if (cpu < 0 || cpu >= Runtime.getRuntime().availableProcessors())
						wrong.set("CPU " + cpu);
				}
			});
			threads[t].start();
		}
		for (Thread t : threads)
			t.join();
		Checks.check(wrong.get() == null, wrong.get());
	}

	static void memoryIsThatOfTheMachine() throws IOException {
		if (elsewhere(Kernel::memory))
			return;
		Kernel.Memory memory = Kernel.memory();
		String meminfo = Files.readString(Path.of("/proc/meminfo"));
		long total = Long.parseLong(meminfo.replaceAll("(?s).*MemTotal:\\s+(\\d+) kB.*", "$1")) * 1024;
		Checks.equal(memory.total(), total);
		Checks.check(memory.free() > 0 && memory.free() < total, memory.toString());
		Checks.check(memory.available() > 0 && memory.available() < total, memory.toString());
		Checks.check(memory.anonymous() > 0 && memory.files() > 0 && memory.slab() > 0, memory.toString());
		Checks.check(memory.pageTables() > 0 && memory.kernelStacks() > 0, memory.toString());
		Checks.check(memory.committed() > 0 && memory.commitLimit() > memory.committed(), memory.toString());
	}

	static void pressureHasMarksBelowWhatIsThere() {
		if (elsewhere(Kernel::pressure))
			return;
		Kernel.Pressure pressure = Kernel.pressure();
		Checks.check(0 < pressure.low() && pressure.low() < pressure.high(), pressure.toString());
		Checks.check(pressure.high() < Kernel.memory().total(), pressure.toString());
		Checks.equal(new Kernel.Pressure(9, 10, 11, 0, 0, 0).isShort(), true);
		Checks.equal(new Kernel.Pressure(10, 10, 11, 0, 0, 0).isShort(), false);
	}

	static void countersGoUp() throws Exception {
		if (elsewhere(Kernel::counters))
			return;
		Map<String, Long> before = Kernel.counters();
		filled(64 * PAGE);
		for (int i = 0; i < 20; i++)
			Thread.sleep(1);
		Map<String, Long> after = Kernel.counters();
		Checks.equal(before.keySet(), after.keySet());
		for (String name : before.keySet())
			Checks.check(after.get(name) >= before.get(name), name + " went back");
		Checks.check(after.get("switches") >= before.get("switches") + 20, "switches " + before + " " + after);
		Checks.check(after.get("interrupts") > before.get("interrupts"), "interrupts " + before + " " + after);
	}

	static void releaseGivesBackWholePagesAndNothingElse() {
		if (elsewhere(() -> Kernel.release(filled(PAGE))))
			return;
		for (int bytes : new int[] { 1, PAGE - 1, PAGE, 2 * PAGE - 1, 2 * PAGE, 5 * PAGE + 7, 600 * PAGE + 1 }) {
			for (int from : new int[] { 0, 1, 15, 2048, PAGE }) {
				ByteBuffer buffer = filled(bytes + 2 * PAGE);
				long released = Kernel.release(buffer.position(from).limit(from + bytes));
				Checks.equal(buffer.position() + " " + buffer.limit(), from + " " + (from + bytes));
				buffer.clear();
				int zeros = 0, first = -1, last = -1;
				for (int i = 0; i < buffer.capacity(); i++) {
					if (buffer.get(i) == 'x')
						continue;
					Checks.equal(buffer.get(i), (byte) 0);
					first = first < 0 ? i : first;
					last = i;
					zeros++;
				}
				String what = zeros + " zeros from " + first + " to " + last + " of " + from + "+" + bytes;
				Checks.equal(released, (long) zeros);
				Checks.check(zeros % PAGE == 0, what);
				Checks.check(zeros > bytes - 2 * PAGE && zeros <= bytes, what);
				Checks.check(zeros == 0 || first >= from && last < from + bytes && last - first + 1 == zeros, what);
			}
		}
	}

	static void releasedMemoryIsThereAgainWhenItIsWritten() {
		if (elsewhere(() -> Kernel.release(filled(PAGE))))
			return;
		ByteBuffer buffer = filled(2048 * PAGE);
		long before = Kernel.memory().anonymous();
		long released = Kernel.release(buffer);
		Checks.check(released >= 2047L * PAGE, "released " + released);
		Checks.check(before - Kernel.memory().anonymous() > 1024L * PAGE, "the machine has no more memory than before");
		Checks.equal(Kernel.release(buffer), 0L);
		buffer.put(1000 * PAGE, (byte) 1);
		Checks.equal(buffer.get(1000 * PAGE), (byte) 1);
		/* A page of 4 KiB or of 2 MiB, as the kernel liked. */
		released = Kernel.release(buffer);
		Checks.check(released == PAGE || released == 512 * PAGE, "released " + released);
		Checks.equal(buffer.get(1000 * PAGE), (byte) 0);
	}

	static void releaseOfAViewTakesTheViewOnly() {
		if (elsewhere(() -> Kernel.release(filled(PAGE))))
			return;
		ByteBuffer buffer = filled(8 * PAGE);
		long released = Kernel.release(buffer.slice(2 * PAGE, 4 * PAGE));
		Checks.check(released == 3 * PAGE || released == 4 * PAGE, "released " + released);
		for (int i = 0; i < 2 * PAGE; i++)
			Checks.check(buffer.get(i) == 'x' && buffer.get(6 * PAGE + i) == 'x', "byte " + i);
	}

	static void releaseOfNothingIsNothing() {
		if (elsewhere(() -> Kernel.release(ByteBuffer.allocateDirect(0))))
			return;
		Checks.equal(Kernel.release(ByteBuffer.allocateDirect(0)), 0L);
		Checks.equal(Kernel.release(filled(4 * PAGE).position(PAGE).limit(PAGE)), 0L);
	}

	static void releaseRefusesBuffersThatAreNoMemoryOfTheirOwn() throws IOException {
		if (elsewhere(() -> Kernel.release(ByteBuffer.allocate(PAGE))))
			return;
		refused(ByteBuffer.allocate(4 * PAGE), "not a direct buffer");
		refused(ByteBuffer.wrap(new byte[4 * PAGE]).slice(1, PAGE), "not a direct buffer");
		refused(filled(4 * PAGE).asReadOnlyBuffer(), "read-only");
		try {
			Kernel.release(null);
			throw new AssertionError("no exception for null");
		} catch (NullPointerException e) {
			/* as it should be */
		}
		Path file = Files.createTempFile("kernel", "");
		Files.write(file, new byte[4 * PAGE]);
		try (FileChannel channel = FileChannel.open(file, StandardOpenOption.READ, StandardOpenOption.WRITE)) {
			ByteBuffer shared = channel.map(FileChannel.MapMode.READ_WRITE, 0, 4 * PAGE);
			ByteBuffer own = channel.map(FileChannel.MapMode.PRIVATE, 0, 4 * PAGE);
			shared.put(0, (byte) 1);
			own.put(0, (byte) 2);
			refused(shared, "file or shared memory");
			refused(own, "file or shared memory");
			refused(channel.map(FileChannel.MapMode.READ_ONLY, 0, 4 * PAGE), "read-only");
			Checks.check(shared.get(0) == 1 && own.get(0) == 2, "a mapped file has changed");
		}
		Files.delete(file);
	}

	/* Buffers that native code has made of any address. */
	static void releaseRefusesMemoryOfOthers() throws IOException {
		if (elsewhere(() -> Kernel.release(filled(PAGE))))
			return;
		refused(Native.bufferAt(PAGE, 4 * PAGE), "not mapped");
		refused(Native.bufferAt(0x7fff_ffff_f000L, 4 * PAGE), "not mapped");
		refused(Native.bufferAt(0x8000_0000_0000_1000L, 4 * PAGE), "not mapped");
		refused(Native.bufferAt(0xffff_8880_0000_0000L, 4 * PAGE), "not mapped");
		refused(Native.bufferAt(0xffff_ffff_8000_0000L, 1 << 20), "not mapped");
		refused(Native.bufferAt(-PAGE, 4 * PAGE), "EINVAL");
		int code = 0, data = 0;
		for (String line : Files.readAllLines(Path.of("/proc/self/maps"))) {
			long start = Long.parseLong(line.substring(0, line.indexOf('-')), 16);
			if (line.contains("r-xp") && line.endsWith("libjvm.so")) {
				refused(Native.bufferAt(start, 4 * PAGE), "file or shared memory");
				code++;
			}
			if (line.endsWith("[vvar]")) {
				refused(Native.bufferAt(start, PAGE), "file or shared memory");
				data++;
			}
		}
		Checks.check(code > 0 && data > 0, "libjvm.so " + code + " times, [vvar] " + data + " times");
		Checks.equal(Kernel.release(Native.bufferAt(8, 100)), 0L);
	}

	static void threadsReleaseWhileOthersCollect() throws Exception {
		if (elsewhere(() -> Kernel.release(filled(PAGE))))
			return;
		AtomicReference<String> wrong = new AtomicReference<>();
		Thread[] threads = new Thread[4];
		for (int t = 0; t < threads.length; t++) {
			int me = t;
			threads[t] = new Thread(() -> {
				ByteBuffer buffer = filled(6 * PAGE), view = buffer.slice(PAGE / 2, 5 * PAGE);
				for (int i = 0; i < 2000 && wrong.get() == null; i++) {
					/* Of five pages four at least lie inside, wherever the buffer begins. */
					buffer.put(3 * PAGE, (byte) me);
					long released = Kernel.release(view);
					if (released < PAGE || released > 5 * PAGE || buffer.get(3 * PAGE) != 0 || buffer.get(6 * PAGE - 1) != 'x')
						wrong.set("thread " + me + ", round " + i + ": released " + released);
					long time = Kernel.nanoTime();
					if (Kernel.nanoTime() < time)
						wrong.set("time went back");
				}
			});
			threads[t].start();
		}
		for (int i = 0; i < 10; i++)
			System.gc();
		for (Thread t : threads)
			t.join();
		Checks.check(wrong.get() == null, wrong.get());
	}
}
