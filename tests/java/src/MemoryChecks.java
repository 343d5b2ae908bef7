import java.lang.management.ManagementFactory;
import java.lang.management.MemoryPoolMXBean;
import java.lang.ref.Cleaner;
import java.lang.ref.PhantomReference;
import java.lang.ref.ReferenceQueue;
import java.lang.ref.SoftReference;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.atomic.AtomicInteger;

/** The heap under the collector of the run, and what the JVM tells of it. */
final class MemoryChecks {
	private MemoryChecks() {
	}

	static void aLinkedStructureSurvivesManyCollections() {
		Map<Integer, List<byte[]>> map = new HashMap<>();
		Random random = new Random(42);
		for (int i = 0; i < 60000; i++) {
			byte[] b = new byte[random.nextInt(2000)];
			if (b.length > 0)
				b[b.length - 1] = (byte) b.length;
			map.computeIfAbsent(random.nextInt(400), k -> new ArrayList<>()).add(b);
			if (i % 3 == 0)
				map.remove(random.nextInt(400));
		}
		for (List<byte[]> list : map.values())
			for (byte[] b : list)
				Checks.check(b.length == 0 || b[b.length - 1] == (byte) b.length, "an array was damaged");
	}

	static void threadsAllocateAtTheSameTime() throws Exception {
		AtomicInteger bad = new AtomicInteger();
		Thread[] threads = new Thread[4];
		for (int t = 0; t < threads.length; t++) {
			int me = t;
			threads[t] = new Thread(() -> {
				Object[] ring = new Object[1000];
				for (int i = 0; i < 150000; i++) {
					int[] a = { me, i, me ^ i };
					ring[i % ring.length] = a;
					int[] old = (int[]) ring[i * 7919 % ring.length & Integer.MAX_VALUE >> 1];
					if (old != null && (old[0] != me || old[2] != (me ^ old[1])))
						bad.incrementAndGet();
				}
			});
			threads[t].start();
		}
		for (Thread t : threads)
			t.join();
		Checks.equal(bad.get(), 0);
	}

	static void largeArraysAreAllocatedAndFreed() {
		for (int i = 0; i < 60; i++) {
			long[] a = new long[1 << 20];
			a[a.length - 1] = i;
			Checks.equal(a[0], 0L);
			Checks.equal(a[a.length - 1], (long) i);
		}
	}

	static void phantomReferencesAndCleanersRun() throws Exception {
		ReferenceQueue<Object> queue = new ReferenceQueue<>();
		PhantomReference<Object> ref = new PhantomReference<>(new Object(), queue);
		AtomicInteger cleaned = new AtomicInteger();
		Cleaner cleaner = Cleaner.create();
		for (int i = 0; i < 10; i++)
			cleaner.register(new Object(), cleaned::incrementAndGet);
		boolean queued = false;
		for (int i = 0; i < 50 && (cleaned.get() < 10 || !queued); i++) {
			System.gc();
			Thread.sleep(20);
			queued |= queue.poll() == ref;
		}
		Checks.equal(cleaned.get(), 10);
		Checks.check(queued, "the phantom reference is not in its queue");
	}

	static void softReferencesGiveWay() {
		List<SoftReference<byte[]>> refs = new ArrayList<>();
		long max = Runtime.getRuntime().maxMemory();
		for (long sum = 0; sum < max * 2 && refs.size() < 3000; sum += 1 << 20)
			refs.add(new SoftReference<>(new byte[1 << 20]));
		if (refs.size() == 3000)
			throw new Checks.Skip("the heap is too large for this check");
		Checks.check(refs.stream().anyMatch(r -> r.get() == null), "no soft reference was cleared");
	}

	static void explicitCollectionsFreeMemory() {
		byte[][] hoard = new byte[20][];
		for (int i = 0; i < hoard.length; i++)
			hoard[i] = new byte[1 << 20];
		long before = used();
		hoard = null;
		for (int i = 0; i < 5; i++)
			System.gc();
		Checks.check(before - used() > 10 << 20, "used before " + before + ", after " + used());
	}

	private static long used() {
		return ManagementFactory.getMemoryMXBean().getHeapMemoryUsage().getUsed();
	}

	static void managementBeansAgreeWithTheMachine() throws Exception {
		var os = (com.sun.management.OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();
		String meminfo = Files.readString(Path.of("/proc/meminfo"));
		long total = Long.parseLong(meminfo.replaceAll("(?s).*MemTotal:\\s+(\\d+) kB.*", "$1")) * 1024;
		long bean = os.getTotalMemorySize();
		/* In a container of the host the JVM tells the container's limit. */
		Checks.check(bean <= total && bean > 0, "total " + bean + " of " + total);
		Checks.check(os.getFreeMemorySize() > 0 && os.getFreeMemorySize() < total, "free " + os.getFreeMemorySize());
		Checks.check(os.getCommittedVirtualMemorySize() > 0, "no virtual memory");
		Checks.check(os.getProcessCpuTime() > 0, "no CPU time");
		Checks.check(os.getProcessCpuLoad() >= -1 && os.getSystemLoadAverage() >= -1, "no load");
		Checks.check(((com.sun.management.UnixOperatingSystemMXBean) os).getOpenFileDescriptorCount() > 0, "no descriptors");
		Checks.check(ManagementFactory.getRuntimeMXBean().getUptime() > 0, "no uptime");
		for (MemoryPoolMXBean pool : ManagementFactory.getMemoryPoolMXBeans())
			Checks.check(pool.getUsage() == null || pool.getUsage().getUsed() >= 0, pool.getName());
	}

	static void directBuffersAreFreed() {
		for (int i = 0; i < 200; i++) {
			java.nio.ByteBuffer b = java.nio.ByteBuffer.allocateDirect(1 << 20);
			b.putLong(8, i);
			Checks.equal(b.getLong(8), (long) i);
		}
	}

	static void aFlightRecordingHasEvents() throws Exception {
		Path file = Files.createTempFile("flight", ".jfr");
		try (jdk.jfr.Recording recording = new jdk.jfr.Recording(jdk.jfr.Configuration.getConfiguration("default"))) {
			recording.start();
			for (int i = 0; i < 50; i++) {
				byte[] b = new byte[1 << 20];
				b[i] = 1;
			}
			System.gc();
			Thread.sleep(100);
			recording.stop();
			recording.dump(file);
		}
		long collections = 0, all = 0;
		try (jdk.jfr.consumer.RecordingFile events = new jdk.jfr.consumer.RecordingFile(file)) {
			while (events.hasMoreEvents()) {
				all++;
				if (events.readEvent().getEventType().getName().equals("jdk.GarbageCollection"))
					collections++;
			}
		}
		Files.delete(file);
		Checks.check(all > 10 && collections > 0, all + " events, " + collections + " collections");
	}
}
