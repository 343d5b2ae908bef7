/** A class of some size, defined again and again by FaultsChecks; it needs nothing but java.lang. */
public class Ballast implements Runnable {
	private int a;
	private long b;
	private String c = "ballast";

	@Override
	public void run() {
		a++;
		b += a;
		c = b % 2 == 0 ? one() : two();
	}

	private String one() {
		return a > 100 ? "one" : "uno";
	}

	private String two() {
		return b > 100 ? "two" : "due";
	}
}
