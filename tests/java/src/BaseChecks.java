import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.math.BigInteger;
import java.net.InetAddress;
import java.net.NetworkInterface;
import java.nio.charset.StandardCharsets;
import java.security.KeyPair;
import java.security.KeyPairGenerator;
import java.security.MessageDigest;
import java.security.SecureRandom;
import java.security.Signature;
import java.text.NumberFormat;
import java.time.Instant;
import java.time.LocalDateTime;
import java.time.ZoneId;
import java.time.ZonedDateTime;
import java.time.format.DateTimeFormatter;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.Locale;
import java.util.Map;
import java.util.TimeZone;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.IntStream;
import java.util.zip.CRC32;
import java.util.zip.GZIPInputStream;
import java.util.zip.GZIPOutputStream;
import javax.crypto.Cipher;
import javax.crypto.Mac;
import javax.crypto.spec.GCMParameterSpec;
import javax.crypto.spec.SecretKeySpec;

/** What every program takes for granted. */
final class BaseChecks {
	private BaseChecks() {
	}

	static void systemPropertiesDescribeLinux() {
		Checks.equal(System.getProperty("os.name"), "Linux");
		Checks.equal(System.getProperty("os.arch"), "amd64");
		Checks.equal(System.getProperty("file.separator"), "/");
		Checks.equal(System.getProperty("java.io.tmpdir"), "/tmp");
		Checks.check(!System.getProperty("os.version").isEmpty(), "no os.version");
		Checks.check(!System.getProperty("user.dir").isEmpty(), "no user.dir");
		Checks.check(ProcessHandle.current().pid() > 0, "no pid");
		Checks.check(System.getenv() != null, "no environment");
	}

	static void networkInterfacesKnowLoopback() throws Exception {
		NetworkInterface lo = NetworkInterface.getByName("lo");
		Checks.check(lo != null && lo.isLoopback() && lo.isUp() && !lo.isPointToPoint(), "lo: " + lo);
		Checks.equal(lo.getMTU(), 65536);
		Checks.check(lo.getHardwareAddress() == null, "lo has a hardware address");
		InetAddress address = InetAddress.getByName("127.0.0.1");
		Checks.equal(NetworkInterface.getByInetAddress(address), lo);
		Checks.equal(NetworkInterface.getByIndex(lo.getIndex()), lo);
		Checks.check(lo.getInterfaceAddresses().stream().anyMatch(a -> a.getAddress().equals(address) && a.getNetworkPrefixLength() == 8),
				"addresses: " + lo.getInterfaceAddresses());
		Checks.check(NetworkInterface.networkInterfaces().anyMatch(lo::equals), "lo is not in the list");
	}

	static void availableProcessorsCountTheCpus() {
		int want = Integer.getInteger("cpus", 0);
		if (want == 0)
			throw new Checks.Skip("cpus is not set");
		Checks.equal(Runtime.getRuntime().availableProcessors(), want);
	}

	static void theHeapIsThatOfASoleTenant() {
		long memory = Long.getLong("memory.mib", 0);
		if (memory == 0)
			throw new Checks.Skip("memory.mib is not set");
		long heap = Runtime.getRuntime().maxMemory() >> 20;
		Checks.check(heap > memory * 4 / 10, "heap " + heap + " MiB of " + memory);
		Checks.check(heap < memory, "heap " + heap + " MiB of " + memory);
	}

	static void timeZonesKnowSummerTime() {
		ZonedDateTime winter = LocalDateTime.of(2024, 1, 15, 12, 0).atZone(ZoneId.of("Europe/Berlin"));
		ZonedDateTime summer = LocalDateTime.of(2024, 7, 15, 12, 0).atZone(ZoneId.of("Europe/Berlin"));
		Checks.equal(winter.getOffset().getTotalSeconds(), 3600);
		Checks.equal(summer.getOffset().getTotalSeconds(), 7200);
		Checks.check(ZoneId.getAvailableZoneIds().size() > 400, "few zones");
		Checks.equal(TimeZone.getTimeZone("America/New_York").getOffset(1720000000000L), -4 * 3600000);
		Checks.equal(TimeZone.getDefault().toZoneId().getRules().getOffset(Instant.EPOCH).getTotalSeconds() % 900, 0);
	}

	static void localesFormatNumbersAndDates() {
		Checks.equal(NumberFormat.getInstance(Locale.GERMANY).format(1234567.5), "1.234.567,5");
		Checks.equal(NumberFormat.getInstance(Locale.US).format(1234567.5), "1,234,567.5");
		Checks.equal(DateTimeFormatter.ofPattern("d. MMMM yyyy", Locale.GERMANY)
				.format(LocalDateTime.of(2024, 3, 5, 0, 0)), "5. März 2024");
		Checks.equal("straße".toUpperCase(Locale.GERMAN), "STRASSE");
		Checks.check(Locale.getAvailableLocales().length > 300, "few locales");
	}

	static void theClockIsOfThisCentury() {
		long now = System.currentTimeMillis();
		Checks.check(now > 1700000000000L && now < 4000000000000L, "currentTimeMillis " + now);
		Checks.check(Math.abs(Instant.now().toEpochMilli() - now) < 10000, "Instant.now differs");
	}

	static void secureRandomGivesDifferentBytes() throws Exception {
		byte[] a = new byte[32], b = new byte[32];
		new SecureRandom().nextBytes(a);
		SecureRandom.getInstance("NativePRNG").nextBytes(b);
		Checks.check(!Arrays.equals(a, b) && !Arrays.equals(a, new byte[32]), "not random");
		Checks.equal(SecureRandom.getInstance("SHA1PRNG").generateSeed(16).length, 16);
		Checks.equal(SecureRandom.getInstance("DRBG").generateSeed(8).length, 8);
	}

	static void digestsHaveTheKnownValues() throws Exception {
		byte[] abc = "abc".getBytes(StandardCharsets.US_ASCII);
		HexFormat hex = HexFormat.of();
		Checks.equal(hex.formatHex(MessageDigest.getInstance("SHA-256").digest(abc)),
				"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
		Checks.equal(hex.formatHex(MessageDigest.getInstance("MD5").digest(abc)), "900150983cd24fb0d6963f7d28e17f72");
		/* Long enough that intrinsics with vector registers take part. */
		MessageDigest sha1 = MessageDigest.getInstance("SHA-1");
		byte[] block = new byte[1000];
		Arrays.fill(block, (byte) 'a');
		for (int i = 0; i < 1000; i++)
			sha1.update(block);
		Checks.equal(hex.formatHex(sha1.digest()), "34aa973cd4c4daa4f61eeb2bdbad27316534016f");
		CRC32 crc = new CRC32();
		for (int i = 0; i < 1000; i++)
			crc.update(block);
		Checks.equal(crc.getValue(), 0xdc25bfbcL);
	}

	static void ciphersEncryptAndDecrypt() throws Exception {
		byte[] key = new byte[16], iv = new byte[12], text = new byte[100000];
		new SecureRandom().nextBytes(key);
		for (int i = 0; i < text.length; i++)
			text[i] = (byte) i;
		Cipher cipher = Cipher.getInstance("AES/GCM/NoPadding");
		cipher.init(Cipher.ENCRYPT_MODE, new SecretKeySpec(key, "AES"), new GCMParameterSpec(128, iv));
		byte[] secret = cipher.doFinal(text);
		cipher.init(Cipher.DECRYPT_MODE, new SecretKeySpec(key, "AES"), new GCMParameterSpec(128, iv));
		Checks.check(Arrays.equals(cipher.doFinal(secret), text), "AES-GCM does not give the text back");
		secret[5] ^= 1;
		try {
			cipher.init(Cipher.DECRYPT_MODE, new SecretKeySpec(key, "AES"), new GCMParameterSpec(128, iv));
			cipher.doFinal(secret);
			throw new AssertionError("a changed text was accepted");
		} catch (javax.crypto.AEADBadTagException expected) {
			/* this is what must happen */
		}
		Mac mac = Mac.getInstance("HmacSHA256");
		mac.init(new SecretKeySpec("key".getBytes(StandardCharsets.US_ASCII), "HmacSHA256"));
		Checks.equal(HexFormat.of().formatHex(mac.doFinal("The quick brown fox jumps over the lazy dog"
				.getBytes(StandardCharsets.US_ASCII))), "f7bc83f430538424b13298e6aa6fb143ef4d59a14946175997479dbc2d1a3cd8");
	}

	static void signaturesVerify() throws Exception {
		KeyPairGenerator generator = KeyPairGenerator.getInstance("EC");
		generator.initialize(256);
		KeyPair pair = generator.generateKeyPair();
		Signature signature = Signature.getInstance("SHA256withECDSA");
		signature.initSign(pair.getPrivate());
		signature.update(new byte[100]);
		byte[] signed = signature.sign();
		signature.initVerify(pair.getPublic());
		signature.update(new byte[100]);
		Checks.check(signature.verify(signed), "the signature does not verify");
	}

	static void certificateAuthoritiesAreThere() throws Exception {
		var factory = javax.net.ssl.TrustManagerFactory.getInstance("PKIX");
		factory.init((java.security.KeyStore) null);
		int n = ((javax.net.ssl.X509TrustManager) factory.getTrustManagers()[0]).getAcceptedIssuers().length;
		Checks.check(n > 50, "only " + n + " certificate authorities");
	}

	static void regularExpressionsMatch() {
		Matcher m = Pattern.compile("(?<y>\\d{4})-(?<m>\\d\\d)").matcher("from 2024-05 to 2025-06");
		int n = 0;
		while (m.find())
			n += Integer.parseInt(m.group("y")) + Integer.parseInt(m.group("m"));
		Checks.equal(n, 2024 + 5 + 2025 + 6);
		Checks.check(Pattern.matches("\\p{L}+", "Größe"), "letters are not letters");
		StringBuilder long_ = new StringBuilder();
		for (int i = 0; i < 20000; i++)
			long_.append("ab");
		Checks.check(Pattern.matches("[ab]*", long_), "a long text does not match");
	}

	static void gzipGivesTheTextBack() throws Exception {
		byte[] text = new byte[300000];
		for (int i = 0; i < text.length; i++)
			text[i] = (byte) (i * i >> 7);
		ByteArrayOutputStream packed = new ByteArrayOutputStream();
		try (GZIPOutputStream out = new GZIPOutputStream(packed)) {
			out.write(text);
		}
		try (GZIPInputStream in = new GZIPInputStream(new ByteArrayInputStream(packed.toByteArray()))) {
			Checks.check(Arrays.equals(in.readAllBytes(), text), "not the same bytes");
		}
	}

	static void floatingPointIsExact() {
		double sum = 0;
		for (int i = 1; i <= 300000; i++)
			sum += 1.0 / ((double) i * i);
		Checks.equal(Double.toString(sum), "1.6449307335204777");
		Checks.equal(Math.fma(3.0, 4.0, 5.0), 17.0);
		Checks.equal(StrictMath.sin(1e22), -0.8522008497671888);
		Checks.equal(Double.doubleToLongBits(Math.sqrt(2)), 0x3ff6a09e667f3bcdL);
	}

	static void bigIntegersMultiply() {
		BigInteger f = BigInteger.ONE;
		for (int i = 2; i <= 1000; i++)
			f = f.multiply(BigInteger.valueOf(i));
		Checks.equal(f.toString().length(), 2568);
		Checks.check(BigInteger.TWO.pow(521).subtract(BigInteger.ONE).isProbablePrime(10), "a prime is none");
	}

	static void streamsAndLambdasWork() {
		Map<Integer, Integer> counts = new HashMap<>();
		IntStream.range(0, 100000).forEach(i -> counts.merge(i % 7, 1, Integer::sum));
		Checks.equal(counts.get(3), 14286);
		Checks.equal(IntStream.range(0, 1000000).parallel().filter(i -> i % 3 == 0).count(), 333334L);
	}

	static void stringsConcatenateAndFormat() {
		String s = "";
		for (int i = 0; i < 500; i++)
			s = s + i + ',';
		Checks.equal(s.length(), 1890);
		Checks.equal(String.format("%08.3f|%-6s|%,d|%x", 3.14159, "ab", 1234567, 255), "0003.142|ab    |1,234,567|ff");
		Checks.equal(new String("Grüße, 世界 😀".getBytes(StandardCharsets.UTF_8), StandardCharsets.UTF_8), "Grüße, 世界 😀");
	}

	static void resourcesOfTheModulesAreFound() throws Exception {
		try (var in = Object.class.getResourceAsStream("Object.class")) {
			byte[] b = in.readNBytes(4);
			Checks.equal(HexFormat.of().formatHex(b), "cafebabe");
		}
		Checks.check(ModuleLayer.boot().modules().size() > 5, "few modules");
		Checks.equal(java.util.logging.Level.parse("INFO").intValue(), 800);
	}

	static void xmlAndLoggingModulesLoad() throws Exception {
		var document = javax.xml.parsers.DocumentBuilderFactory.newInstance().newDocumentBuilder()
				.parse(new ByteArrayInputStream("<a><b c='1'>text</b></a>".getBytes(StandardCharsets.UTF_8)));
		Checks.equal(document.getElementsByTagName("b").item(0).getTextContent(), "text");
		Checks.check(javax.script.ScriptEngineManager.class.getModule().getName().equals("java.scripting"), "no scripting");
	}
}
