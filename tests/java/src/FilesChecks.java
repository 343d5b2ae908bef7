import java.io.BufferedReader;
import java.io.File;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.MappedByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.channels.OverlappingFileLockException;
import java.nio.charset.StandardCharsets;
import java.nio.file.AccessDeniedException;
import java.nio.file.DirectoryNotEmptyException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.FileStore;
import java.nio.file.FileSystem;
import java.nio.file.FileSystemException;
import java.nio.file.FileSystems;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.nio.file.StandardWatchEventKinds;
import java.nio.file.WatchEvent;
import java.nio.file.WatchKey;
import java.nio.file.WatchService;
import java.nio.file.attribute.FileTime;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.Comparator;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import java.util.zip.ZipEntry;
import java.util.zip.ZipFile;
import java.util.zip.ZipOutputStream;

/** Files, directories, channels, mappings, locks, watching. */
final class FilesChecks {
	private FilesChecks() {
	}

	private interface Body {
		void run(Path dir) throws Exception;
	}

	private static void inTempDir(Body body) throws Exception {
		Path dir = Files.createTempDirectory("checks");
		try {
			body.run(dir);
		} finally {
			try (Stream<Path> all = Files.walk(dir)) {
				for (Path p : (Iterable<Path>) all.sorted(Comparator.reverseOrder())::iterator)
					Files.delete(p);
			}
		}
	}

	static void textIsWrittenReadAndAppended() throws Exception {
		inTempDir(dir -> {
			Path f = dir.resolve("text");
			Files.writeString(f, "Grüße\n");
			Files.writeString(f, "zwei\n", StandardOpenOption.APPEND);
			Checks.equal(Files.readAllLines(f), List.of("Grüße", "zwei"));
			Checks.equal(Files.size(f), 13L);
			try (BufferedReader r = Files.newBufferedReader(f)) {
				Checks.equal(r.lines().count(), 2L);
			}
		});
	}

	static void errorsAreTheRightExceptions() throws Exception {
		inTempDir(dir -> {
			try {
				Files.readString(dir.resolve("none"));
				throw new AssertionError("no exception");
			} catch (NoSuchFileException expected) {
				/* this is what must happen */
			}
			Files.createFile(dir.resolve("file"));
			try {
				Files.createFile(dir.resolve("file"));
				throw new AssertionError("no exception");
			} catch (FileAlreadyExistsException expected) {
				/* this is what must happen */
			}
			Files.createDirectory(dir.resolve("d"));
			Files.createFile(dir.resolve("d/x"));
			try {
				Files.delete(dir.resolve("d"));
				throw new AssertionError("no exception");
			} catch (DirectoryNotEmptyException expected) {
				/* this is what must happen */
			}
			try {
				Files.readString(dir.resolve("file/below"));
				throw new AssertionError("no exception");
			} catch (FileSystemException expected) {
				/* this is what must happen */
			}
		});
	}

	static void randomAccessFilesSeekAndTruncate() throws Exception {
		inTempDir(dir -> {
			try (RandomAccessFile f = new RandomAccessFile(dir.resolve("raf").toFile(), "rw")) {
				f.writeInt(0x12345678);
				f.seek(100000);
				f.writeUTF("end");
				Checks.equal(f.length(), 100005L);
				f.seek(0);
				Checks.equal(f.readInt(), 0x12345678);
				f.seek(5000);
				Checks.equal(f.read(), 0);
				f.setLength(10);
				Checks.equal(f.length(), 10L);
				f.seek(10);
				Checks.equal(f.read(), -1);
			}
		});
	}

	static void mappingsShareCopyAndRefuse() throws Exception {
		inTempDir(dir -> {
			Path p = dir.resolve("map");
			try (FileChannel c = FileChannel.open(p, StandardOpenOption.CREATE, StandardOpenOption.READ,
					StandardOpenOption.WRITE)) {
				MappedByteBuffer shared = c.map(FileChannel.MapMode.READ_WRITE, 0, 100000);
				shared.put(70000, (byte) 7);
				Checks.equal(c.size(), 100000L);
				ByteBuffer one = ByteBuffer.allocate(1);
				c.read(one, 70000);
				Checks.equal(one.get(0), (byte) 7);
				shared.force();
				MappedByteBuffer copy = c.map(FileChannel.MapMode.PRIVATE, 0, 100000);
				copy.put(70000, (byte) 9);
				Checks.equal(shared.get(70000), (byte) 7);
				MappedByteBuffer read = c.map(FileChannel.MapMode.READ_ONLY, 65536, 10000);
				Checks.equal(read.get(70000 - 65536), (byte) 7);
				try {
					read.put(0, (byte) 1);
					throw new AssertionError("a read-only mapping was written");
				} catch (java.nio.ReadOnlyBufferException expected) {
					/* this is what must happen */
				}
				c.write(ByteBuffer.wrap(new byte[] { 5 }), 66000);
				Checks.equal(shared.get(66000), (byte) 5);
			}
		});
	}

	static void aMappingThatIsCutIsAnInternalError() throws Exception {
		inTempDir(dir -> {
			try (RandomAccessFile f = new RandomAccessFile(dir.resolve("cut").toFile(), "rw")) {
				MappedByteBuffer map = f.getChannel().map(FileChannel.MapMode.READ_WRITE, 0, 3 * 4096);
				f.setLength(0);
				try {
					byte b = map.get(5000);
					throw new AssertionError("a byte behind the end is " + b);
				} catch (InternalError expected) {
					/* SIGBUS becomes this error */
				}
			}
		});
	}

	static void channelsScatterGatherTransferAndPosition() throws Exception {
		inTempDir(dir -> {
			Path a = dir.resolve("a"), b = dir.resolve("b");
			byte[] data = new byte[200000];
			for (int i = 0; i < data.length; i++)
				data[i] = (byte) (i * 7);
			Files.write(a, data);
			try (FileChannel in = FileChannel.open(a); FileChannel out = FileChannel.open(b, StandardOpenOption.CREATE,
					StandardOpenOption.WRITE)) {
				long at = 0;
				while (at < data.length)
					at += in.transferTo(at, data.length - at, out);
			}
			Checks.equal(Files.mismatch(a, b), -1L);
			try (FileChannel c = FileChannel.open(b, StandardOpenOption.READ, StandardOpenOption.WRITE)) {
				ByteBuffer[] parts = { ByteBuffer.allocate(10), ByteBuffer.allocateDirect(20) };
				Checks.equal(c.read(parts), 30L);
				Checks.equal(parts[1].get(5), data[15]);
				c.truncate(100);
				Checks.equal(c.size(), 100L);
				c.position(200);
				c.write(ByteBuffer.wrap(new byte[] { 1 }));
				Checks.equal(c.size(), 201L);
			}
		});
	}

	static void locksExclude() throws Exception {
		inTempDir(dir -> {
			Path p = dir.resolve("lock");
			try (FileChannel a = FileChannel.open(p, StandardOpenOption.CREATE, StandardOpenOption.WRITE);
					FileChannel b = FileChannel.open(p, StandardOpenOption.WRITE, StandardOpenOption.READ)) {
				FileLock lock = a.lock(0, 10, false);
				try {
					b.tryLock(5, 10, false);
					throw new AssertionError("an overlapping lock was given");
				} catch (OverlappingFileLockException expected) {
					/* this is what must happen */
				}
				try (FileLock other = b.tryLock(10, 10, true)) {
					Checks.check(other != null && other.isShared(), "a free range cannot be locked");
				}
				lock.release();
				Checks.check(b.tryLock(0, 10, false) != null, "a released range cannot be locked");
			}
		});
	}

	static void watchServiceReportsCreateModifyDelete() throws Exception {
		inTempDir(dir -> {
			try (WatchService watch = dir.getFileSystem().newWatchService()) {
				dir.register(watch, StandardWatchEventKinds.ENTRY_CREATE, StandardWatchEventKinds.ENTRY_MODIFY,
						StandardWatchEventKinds.ENTRY_DELETE);
				Path f = dir.resolve("watched");
				Files.writeString(f, "text");
				Files.delete(f);
				Set<String> seen = new HashSet<>();
				long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(20);
				while (seen.size() < 3 && System.nanoTime() < end) {
					WatchKey key = watch.poll(1, TimeUnit.SECONDS);
					if (key == null)
						continue;
					for (WatchEvent<?> e : key.pollEvents()) {
						Checks.equal(e.context().toString(), "watched");
						seen.add(e.kind().name());
					}
					key.reset();
				}
				Checks.equal(seen, Set.of("ENTRY_CREATE", "ENTRY_MODIFY", "ENTRY_DELETE"));
			}
		});
	}

	static void tempFilesAreUniqueAndPrivate() throws Exception {
		Path a = Files.createTempFile("checks", ".tmp"), b = Files.createTempFile("checks", ".tmp");
		Checks.check(!a.equals(b), "the same name twice");
		Checks.equal(PosixFilePermissions.toString(Files.getPosixFilePermissions(a)), "rw-------");
		Files.delete(a);
		Files.delete(b);
		File c = File.createTempFile("checks", null);
		Checks.check(c.delete(), "cannot delete");
	}

	static void tenThousandFilesInADirectory() throws Exception {
		inTempDir(dir -> {
			for (int i = 0; i < 10000; i++)
				Files.createFile(dir.resolve("f" + i));
			try (Stream<Path> list = Files.list(dir)) {
				Checks.equal(list.count(), 10000L);
			}
			Checks.check(Files.exists(dir.resolve("f9999")), "the last is missing");
		});
	}

	static void attributesLinksAndMoves() throws Exception {
		inTempDir(dir -> {
			Path f = Files.writeString(dir.resolve("f"), "abc");
			FileTime time = FileTime.fromMillis(1_000_000_000_000L);
			Files.setLastModifiedTime(f, time);
			Checks.equal(Files.getLastModifiedTime(f), time);
			Files.setPosixFilePermissions(f, PosixFilePermissions.fromString("rw-r-----"));
			Checks.equal(PosixFilePermissions.toString(Files.getPosixFilePermissions(f)), "rw-r-----");
			Path link = Files.createSymbolicLink(dir.resolve("link"), f.getFileName());
			Checks.check(Files.isSymbolicLink(link) && Files.isRegularFile(link), "not a link to a file");
			Checks.equal(Files.readSymbolicLink(link).toString(), "f");
			Checks.equal(link.toRealPath(), f.toRealPath());
			Path hard = Files.createLink(dir.resolve("hard"), f);
			Checks.check(Files.isSameFile(hard, f), "not the same file");
			Checks.equal(Files.getAttribute(f, "unix:nlink"), 2);
			Files.move(hard, dir.resolve("moved"), StandardCopyOption.ATOMIC_MOVE);
			Files.copy(f, dir.resolve("moved"), StandardCopyOption.REPLACE_EXISTING);
			Checks.equal(Files.readString(dir.resolve("moved")), "abc");
			FileStore store = Files.getFileStore(dir);
			Checks.check(store.getTotalSpace() > 0 && store.getUsableSpace() <= store.getTotalSpace(), "no space");
			Checks.check(Files.isWritable(f) && Files.isHidden(Path.of(".x")), "wrong attributes");
		});
	}

	static void treesAreWalkedAndCopied() throws Exception {
		inTempDir(dir -> {
			for (int i = 0; i < 5; i++)
				for (int j = 0; j < 5; j++) {
					Path d = Files.createDirectories(dir.resolve("t/" + i + "/" + j));
					Files.writeString(d.resolve("file"), i + "," + j);
				}
			try (Stream<Path> walk = Files.walk(dir.resolve("t"))) {
				Checks.equal(walk.filter(Files::isRegularFile).count(), 25L);
			}
			try (Stream<Path> find = Files.find(dir, 10, (p, a) -> a.isDirectory())) {
				Checks.equal(find.count(), 32L);
			}
		});
	}

	static void zipFilesAreWrittenAndRead() throws Exception {
		inTempDir(dir -> {
			Path zip = dir.resolve("a.zip");
			try (ZipOutputStream out = new ZipOutputStream(new FileOutputStream(zip.toFile()))) {
				for (int i = 0; i < 200; i++) {
					out.putNextEntry(new ZipEntry("dir/entry" + i));
					out.write(("content " + i).repeat(50).getBytes(StandardCharsets.UTF_8));
					out.closeEntry();
				}
			}
			try (ZipFile f = new ZipFile(zip.toFile())) {
				Checks.equal(f.size(), 200);
				Checks.equal(new String(f.getInputStream(f.getEntry("dir/entry77")).readAllBytes(), StandardCharsets.UTF_8),
						"content 77".repeat(50));
			}
			try (FileSystem fs = FileSystems.newFileSystem(zip, Map.of())) {
				Checks.equal(Files.readString(fs.getPath("dir/entry5")), "content 5".repeat(50));
			}
		});
	}

	static void theRootAndProcAreReadable() throws IOException {
		Checks.check(Files.isDirectory(Path.of("/")), "no root");
		Checks.check(Files.readString(Path.of("/proc/self/status")).startsWith("Name:"), "no status");
		Checks.check(Files.readAllLines(Path.of("/etc/passwd")).size() > 0, "no passwd");
		try {
			Files.writeString(Path.of("/proc/version"), "x");
			throw new AssertionError("/proc/version was written");
		} catch (AccessDeniedException expected) {
			/* permission denied, or an input/output error for root */
		} catch (FileSystemException expected) {
			/* the same with another reason */
		} catch (IOException expected) {
			/* the write itself fails */
		}
	}

	static void manyOpenFiles() throws Exception {
		inTempDir(dir -> {
			RandomAccessFile[] files = new RandomAccessFile[800];
			for (int i = 0; i < files.length; i++) {
				files[i] = new RandomAccessFile(dir.resolve("o" + i).toFile(), "rw");
				files[i].write(i);
			}
			for (int i = 0; i < files.length; i++) {
				files[i].seek(0);
				Checks.equal(files[i].read(), i & 255);
				files[i].close();
			}
		});
	}
}
