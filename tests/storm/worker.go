// SPDX-License-Identifier: GPL-2.0-or-later

// worker.py for Go: goroutines on small stacks, preemption by signals of the
// run time to its own threads, and a collector that runs beside them.
package main

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	blockWords = 64 << 10 / 8
	nBlocks    = 24
	goroutines = 4
	pause      = 150 * time.Millisecond
	spin       = 1 << 21
)

type block struct {
	number uint64
	words  []uint64
}

var (
	lock   sync.Mutex
	blocks [nBlocks]block
	broken atomic.Value
)

func newBlock(number uint64) block {
	b := block{number, make([]uint64, blockWords)}
	for i := range b.words {
		b.words[i] = number
	}
	return b
}

func fail(format string, args ...interface{}) {
	broken.CompareAndSwap(nil, fmt.Sprintf(format, args...))
}

func check(b block) {
	for _, word := range b.words {
		if word != b.number {
			fail("block %x has changed", b.number)
			return
		}
	}
}

// Without calls, so that only a signal can take the CPU from it; what it
// computes is known.
func compute() {
	x := uint64(0)
	for i := uint64(0); i < spin; i++ {
		x += i
	}
	if x != uint64(spin)*(spin-1)/2 {
		fail("a sum of %d", x)
	}
}

// Deep enough that the stack has to be moved.
func deep(n uint64) uint64 {
	var pad [16]uint64
	if n == 0 {
		return 0
	}
	pad[n%16] = n
	return deep(n-1) + pad[n%16]
}

func work(mine uint64) {
	number := mine << 40
	for {
		number++
		time.Sleep(pause)
		made := newBlock(number)
		lock.Lock()
		old := blocks[number%nBlocks]
		blocks[number%nBlocks] = made
		lock.Unlock()
		check(old)
		compute()
		if deep(1000) != 1000*1001/2 {
			fail("a wrong sum of depths")
		}
		if number%8 == 0 {
			runtime.GC()
		}
	}
}

func verify() string {
	lock.Lock()
	defer lock.Unlock()
	for _, b := range blocks {
		check(b)
	}
	if why := broken.Load(); why != nil {
		return "broken " + why.(string)
	}
	return "intact"
}

func main() {
	syscall.Setpriority(syscall.PRIO_PROCESS, 0, 10)
	for i := range blocks {
		blocks[i] = newBlock(uint64(i))
	}
	for i := uint64(1); i <= goroutines; i++ {
		go work(i)
	}
	fmt.Println("ready")
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		fmt.Println(verify())
	}
	said := verify()
	fmt.Println(said)
	if said != "intact" {
		os.Exit(1)
	}
}
