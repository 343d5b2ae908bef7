/** The ways a machine ends: {@code Ends WAY}; what must come out is in tests/java/family.sh. */
public final class Ends {
	private Ends() {
	}

	private static void hook(String text) {
		Runtime.getRuntime().addShutdownHook(new Thread(() -> {
			System.out.println(text);
			System.out.flush();
		}));
	}

	public static void main(String[] args) throws Exception {
		switch (args[0]) {
		case "main": /* main returns, a daemon thread runs on */
			Thread daemon = new Thread(() -> {
				for (;;)
					Thread.onSpinWait();
			});
			daemon.setDaemon(true);
			daemon.start();
			hook("hook of main");
			System.out.println("main returns");
			break;
		case "nondaemon": /* main returns, the machine runs until the last thread that counts */
			new Thread(() -> {
				try {
					Thread.sleep(300);
				} catch (InterruptedException e) {
					return;
				}
				System.out.println("the last thread ends");
			}).start();
			System.out.println("main returns");
			break;
		case "exit":
			hook("hook of exit");
			System.out.println("exit 7");
			System.exit(7);
			break;
		case "halt":
			hook("hook that must not run");
			System.out.println("halt 9");
			Runtime.getRuntime().halt(9);
			break;
		case "uncaught":
			hook("hook of uncaught");
			throw new IllegalStateException("nobody catches this");
		case "wait": /* until a signal comes */
			hook("hook of signal");
			System.out.println("waiting");
			Thread.sleep(100000);
			break;
		case "crash":
			System.out.println("before the crash");
			Native.poke(Long.decode(args[1]));
			break;
		case "streams":
			System.err.println("error line");
			System.out.println("read: " + new java.io.BufferedReader(new java.io.InputStreamReader(System.in)).readLine());
			break;
		default:
			throw new IllegalArgumentException(args[0]);
		}
	}
}
