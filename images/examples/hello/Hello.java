/** The smallest application: greets, and says where it runs. */
public class Hello {
	public static void main(String[] args) {
		System.out.println("Hello from Java " + System.getProperty("java.version") + " on " + System.getProperty("os.name")
			+ " " + System.getProperty("os.version"));
		for (String arg : args)
			System.out.println(arg);
	}
}
