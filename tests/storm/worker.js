// SPDX-License-Identifier: GPL-2.0-or-later
// worker.py for Node.js: worker threads, timers, the thread pool (zlib), and
// buffers outside of the heap, which the collector frees.
"use strict";
const { Worker, isMainThread, parentPort, workerData } =
	require("worker_threads");
const readline = require("readline");
const zlib = require("zlib");

const BLOCKS = 24;
const BLOCK_BYTES = 64 << 10;
const THREADS = 2;
const PAUSE_MSEC = 100;

let broken = null;

function make(number) {
	return { number, words: new Uint32Array(BLOCK_BYTES / 4).fill(number) };
}

function check(block) {
	for (const word of block.words)
		if (word !== block.number)
			broken = broken || `block ${block.number} has changed`;
}

// What was packed by another thread must come out as it went in.
function packed(block) {
	const bytes = Buffer.from(block.words.buffer);
	zlib.deflate(bytes, (error, small) => {
		if (error || !zlib.inflateSync(small).equals(bytes))
			broken = broken || `zlib: ${error}`;
	});
}

function work(mine) {
	const blocks = [];
	let number = mine << 24;

	for (let i = 0; i < BLOCKS; i++)
		blocks.push(make(++number));
	setInterval(() => {
		const place = ++number % BLOCKS;
		const old = blocks[place];
		blocks[place] = make(number);
		check(old);
		if (number % 8 === 0)
			packed(old);
	}, PAUSE_MSEC);
	return () => {
		blocks.forEach(check);
		return broken ? `broken ${broken}` : "intact";
	};
}

if (!isMainThread) {
	const verify = work(workerData);
	parentPort.postMessage("ready");
	parentPort.on("message", () => parentPort.postMessage(verify()));
} else {
	require("os").setPriority(10);
	const verify = work(1);
	const workers = [];
	const next = (worker) =>
		new Promise((done) => worker.once("message", done));
	const all = async () => {
		const said = [verify()];
		for (const worker of workers) {
			const answer = next(worker);
			worker.postMessage("verify");
			said.push(await answer);
		}
		return said.find((line) => line !== "intact") || "intact";
	};
	const main = async () => {
		for (let i = 2; i < 2 + THREADS; i++) {
			const worker = new Worker(__filename, { workerData: i });
			workers.push(worker);
			await next(worker);
		}
		console.log("ready");
		for await (const line of
			   readline.createInterface({ input: process.stdin }))
			console.log(await all());
		const said = await all();
		console.log(said);
		process.exit(said === "intact" ? 0 : 1);
	};
	main();
}
