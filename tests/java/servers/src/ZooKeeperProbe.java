import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.Watcher;
import org.apache.zookeeper.ZooDefs;
import org.apache.zookeeper.ZooKeeper;

/** A ZooKeeper client: {@code ZooKeeperProbe HOST:PORT SECONDS}. A session, nodes, a watch that a second session triggers, an ephemeral node that goes with it. */
public final class ZooKeeperProbe {
	private ZooKeeperProbe() {
	}

	private static ZooKeeper session(String address, int seconds) throws Exception {
		CountDownLatch connected = new CountDownLatch(1);
		ZooKeeper zoo = new ZooKeeper(address, 30_000, event -> {
			if (event.getState() == Watcher.Event.KeeperState.SyncConnected)
				connected.countDown();
		});
		if (!connected.await(seconds, TimeUnit.SECONDS))
			throw new IllegalStateException("no session within " + seconds + " s");
		return zoo;
	}

	private static void want(boolean right, String what) {
		if (!right)
			throw new IllegalStateException(what);
	}

	public static void main(String[] arguments) {
		int status = 0;
		try {
			ZooKeeper zoo = session(arguments[0], Integer.parseInt(arguments[1]));
			System.out.println("ok answers");
			zoo.create("/top", Answers.text("top"), ZooDefs.Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
			for (int i = 0; i < 100; i++)
				zoo.create("/top/n" + i, Answers.bytes(i * 100), ZooDefs.Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
			for (int i = 0; i < 100; i++)
				want(java.util.Arrays.equals(zoo.getData("/top/n" + i, false, null), Answers.bytes(i * 100)), "node " + i + " has other data");
			System.out.println("ok nodes");
			CountDownLatch seen = new CountDownLatch(1);
			zoo.getData("/top", event -> seen.countDown(), null);
			ZooKeeper other = session(arguments[0], 30);
			other.setData("/top", Answers.text("other"), -1);
			want(seen.await(30, TimeUnit.SECONDS), "the watch was not triggered");
			System.out.println("ok watch");
			other.create("/top/ephemeral", new byte[0], ZooDefs.Ids.OPEN_ACL_UNSAFE, CreateMode.EPHEMERAL);
			List<String> with = zoo.getChildren("/top", false);
			other.close();
			List<String> without = zoo.getChildren("/top", false);
			want(with.size() == 101 && without.size() == 100, "children " + with.size() + ", then " + without.size());
			System.out.println("ok ephemeral");
			zoo.close();
		} catch (Exception e) {
			System.out.println("not ok zookeeper " + e);
			status = 1;
		}
		System.exit(status);
	}
}
