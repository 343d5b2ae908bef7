/* One line: the program of the boot suite. */
public class Hello {
	public static void main(String[] args) {
		System.out.println("hello from java");
	}
}
