package ibrik;

import static java.lang.invoke.MethodType.methodType;

import java.lang.invoke.MethodHandle;
import java.lang.invoke.MethodHandles;
import java.lang.ref.Reference;
import java.lang.reflect.Array;
import java.nio.Buffer;
import java.nio.ByteBuffer;
import java.util.Optional;

/**
 * Calls through the Foreign Function API, which is final since JDK 22: no native library of our own.
 *
 * <p>The API is looked up by name, so that one class file for release 17 does and a JDK 17 builds it. Only making the handles
 * is slower for it; the handles are constants, and compiled code calls the kernel's functions directly.
 */
final class ForeignCalls extends Calls {
	private static final String OBJECT = "linux-vdso.so.1";
	private static final long NAME_MAX = 24;
	private static final MethodHandles.Lookup LOOKUP = MethodHandles.lookup();
	private static final MethodHandle NANO_TIME, CPU, FIGURE, FIGURE_NAME, RELEASE;

	static {
		try {
			Class<?> segment = type("MemorySegment"), arena = type("Arena"), symbols = type("SymbolLookup");
			Object global = ofType(arena, "global", arena).invoke();
			Object library = ofType(symbols, "libraryLookup", symbols, String.class, arena).invoke(OBJECT, global);
			MethodHandle reinterpret = LOOKUP.findVirtual(segment, "reinterpret", methodType(segment, long.class));
			MethodHandle getString = LOOKUP.findVirtual(segment, "getString", methodType(String.class, long.class));
			MethodHandle ofBuffer = ofType(segment, "ofBuffer", segment, Buffer.class);
			MethodHandle name = function(library, "ibrik_figure_name", true, "ADDRESS", "JAVA_INT");
			MethodHandle release = function(library, "ibrik_release", false, "JAVA_LONG", "ADDRESS", "JAVA_LONG");

			NANO_TIME = function(library, "ibrik_nano_time", true, "JAVA_LONG");
			CPU = function(library, "ibrik_cpu", true, "JAVA_INT");
			FIGURE = function(library, "ibrik_figure", true, "JAVA_LONG", "JAVA_INT");
			name = MethodHandles.filterReturnValue(name, MethodHandles.insertArguments(reinterpret, 1, NAME_MAX));
			FIGURE_NAME = MethodHandles.filterReturnValue(name, MethodHandles.insertArguments(getString, 1, 0L));
			/* The segment of a buffer is its bytes from position to limit, and keeps the memory while the call lasts. */
			release = MethodHandles.filterArguments(release, 0, ofBuffer);
			RELEASE = release.asType(methodType(long.class, ByteBuffer.class, long.class));
		} catch (Throwable t) {
			throw unchecked(t);
		}
	}

	private static Class<?> type(String name) throws ClassNotFoundException {
		return Class.forName("java.lang.foreign." + name);
	}

	private static MethodHandle ofType(Class<?> type, String name, Class<?> result, Class<?>... arguments) throws Throwable {
		return LOOKUP.findStatic(type, name, methodType(result, arguments)).asFixedArity();
	}

	private static Object layout(String name) throws ReflectiveOperationException {
		return type("ValueLayout").getField(name).get(null);
	}

	/* A critical function is called without telling the JVM that the thread is away: it must be short and not sleep. */
	private static MethodHandle function(Object library, String name, boolean critical, String result, String... arguments)
			throws Throwable {
		Class<?> linker = type("Linker"), option = type("Linker$Option"), shape = type("FunctionDescriptor");
		Class<?> segment = type("MemorySegment"), layout = type("MemoryLayout");
		Object layouts = Array.newInstance(layout, arguments.length), options = Array.newInstance(option, critical ? 1 : 0);
		for (int i = 0; i < arguments.length; i++)
			Array.set(layouts, i, layout(arguments[i]));
		if (critical)
			Array.set(options, 0, ofType(option, "critical", option, boolean.class).invoke(false));
		MethodHandle find = LOOKUP.findVirtual(type("SymbolLookup"), "find", methodType(Optional.class, String.class));
		Object address = ((Optional<?>) find.invoke(library, name)).orElseThrow(() -> new UnsatisfiedLinkError(name));
		Object called = ofType(shape, "of", shape, layout, layouts.getClass()).invoke(layout(result), layouts);
		MethodHandle link = LOOKUP.findVirtual(linker, "downcallHandle",
				methodType(MethodHandle.class, segment, shape, options.getClass())).asFixedArity();
		return (MethodHandle) link.invoke(ofType(linker, "nativeLinker", linker).invoke(), address, called, options);
	}

	private static RuntimeException unchecked(Throwable t) {
		if (t instanceof Error)
			throw (Error) t;
		return t instanceof RuntimeException ? (RuntimeException) t : new IllegalStateException(t);
	}

	@Override
	long nanoTime() {
		try {
			return (long) NANO_TIME.invokeExact();
		} catch (Throwable t) {
			throw unchecked(t);
		}
	}

	@Override
	int cpu() {
		try {
			return (int) CPU.invokeExact();
		} catch (Throwable t) {
			throw unchecked(t);
		}
	}

	@Override
	long figure(int which) {
		try {
			return (long) FIGURE.invokeExact(which);
		} catch (Throwable t) {
			throw unchecked(t);
		}
	}

	@Override
	String figureName(int which) {
		try {
			return (String) FIGURE_NAME.invokeExact(which);
		} catch (Throwable t) {
			throw unchecked(t);
		}
	}

	@Override
	long release(ByteBuffer buffer) {
		try {
			return (long) RELEASE.invokeExact(buffer, (long) buffer.remaining());
		} catch (Throwable t) {
			throw unchecked(t);
		} finally {
			Reference.reachabilityFence(buffer);
		}
	}
}
