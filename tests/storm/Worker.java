// SPDX-License-Identifier: GPL-2.0-or-later

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.ByteBuffer;
import java.util.concurrent.locks.LockSupport;

/*
 * worker.py for the JVM: threads that are parked with a time-out, a collector
 * that moves blocks about, safepoints, and memory outside of the heap.
 */
public class Worker {
	static final int BLOCKS = 24;
	static final int BLOCK_WORDS = (64 << 10) / 8;
	static final int THREADS = 3;
	static final long PAUSE_NSEC = 100_000_000L;

	static final long[][] blocks = new long[BLOCKS][];
	static final ByteBuffer[] outside = new ByteBuffer[BLOCKS];
	static volatile String broken;

	static long[] make(long number) {
		long[] words = new long[BLOCK_WORDS];

		java.util.Arrays.fill(words, number);
		return words;
	}

	static ByteBuffer makeOutside(long number) {
		ByteBuffer b = ByteBuffer.allocateDirect(BLOCK_WORDS * 8);

		for (int i = 0; i < BLOCK_WORDS; i++)
			b.putLong(i * 8, number);
		return b;
	}

	/* All words are as the first. */
	static void check(long[] words) {
		for (long word : words)
			if (word != words[0])
				broken = "a block of " + words[0];
	}

	static void check(ByteBuffer b) {
		for (int i = 0; i < BLOCK_WORDS; i++)
			if (b.getLong(i * 8) != b.getLong(0))
				broken = "memory outside, of " + b.getLong(0);
	}

	static void work(long mine) {
		for (long number = (mine << 40) + 1;; number++) {
			int place = (int)(number % BLOCKS);
			long[] made = make(number), old;
			ByteBuffer more = number % 2 == 0 ? makeOutside(number)
							  : null;
			ByteBuffer before;

			LockSupport.parkNanos(PAUSE_NSEC);
			synchronized (blocks) {
				old = blocks[place];
				blocks[place] = made;
				before = outside[place];
				if (more != null)
					outside[place] = more;
			}
			check(old);
			if (more != null && before != null)
				check(before);
			if (number % 32 == 0)
				System.gc();
		}
	}

	static String verify() {
		synchronized (blocks) {
			for (long[] words : blocks)
				check(words);
			for (ByteBuffer b : outside)
				if (b != null)
					check(b);
		}
		return broken == null ? "intact" : "broken " + broken;
	}

	public static void main(String[] args) throws Exception {
		BufferedReader in = new BufferedReader(
			new InputStreamReader(System.in));
		String said;

		for (int i = 0; i < BLOCKS; i++)
			blocks[i] = make(i);
		for (int i = 1; i <= THREADS; i++) {
			final long mine = i;
			Thread t = new Thread(() -> work(mine));

			t.setDaemon(true);
			t.start();
		}
		System.out.println("ready");
		while (in.readLine() != null)
			System.out.println(verify());
		said = verify();
		System.out.println(said);
		System.exit(said.equals("intact") ? 0 : 1);
	}
}
