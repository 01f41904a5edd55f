# SPDX-License-Identifier: GPL-2.0-or-later
"""Real programs as targets: databases, web servers, run times and a virtual
machine, each with somebody who checks its answers all the time.

	for make in programs.ALL:
	    try:
	        p = make(t)             # running and answering
	    except programs.Missing as why: ...
	    p.intact()                  # harness.Failed: what was noticed
	    p.finish()

Run times execute tests/storm/worker.*, which verify themselves. Servers have
clients here, threads that never stop asking. All do little (a few percent of
a CPU), and what they hold in memory is full of duplicates that are made anew
all the time. Each is called storm-NAME by the kernel: `comm = storm-*' in the
configuration means these processes and no others. They run in the test's
folder, the servers as user nobody.
"""

import hashlib
import itertools
import os
import pwd
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import harness
from harness import BUILD, TOP, Target, check, wait_for
from protocols import PATIENCE_SECONDS, Postgres, Redis, unix

sys.path.insert(0, str(TOP / "tests/guest"))

import guest            # noqa: E402
from archive import Archive     # noqa: E402

SOURCES = TOP / "tests/storm"
USER = "nobody"
PAUSE_SECONDS = 0.05            # of a client, between two questions
BIG_BYTES = 1 << 20             # an answer that is all duplicates
COMM = "storm-*"


class Missing(Exception):
    """This machine does not have it; says what is not installed."""


def find(*names):
    """The first program of these that is there."""
    for name in names:
        found = shutil.which(name) or shutil.which(name, path="/usr/sbin")
        if found:
            return found
    raise Missing(f"{names[0]} is not installed")


def called(t, name, program):
    """A path by which @program runs under the name storm-@name."""
    link = t.folder / f"storm-{name}"
    if not link.exists():
        link.symlink_to(os.path.realpath(program))
    return str(link)


def user_folder(t, name):
    """A folder that belongs to the servers' user."""
    folder = t.folder / name
    folder.mkdir()
    os.chmod(t.folder, 0o711)
    user = pwd.getpwnam(USER)
    os.chown(folder, user.pw_uid, user.pw_gid)
    return folder


def as_user(*argv):
    # who changes its user loses the signal that harness asked for
    return ["setpriv", "--pdeathsig", "KILL", "--reuid", USER, "--regid",
            str(pwd.getpwnam(USER).pw_gid), "--clear-groups", *argv]


# --- run times, which verify themselves ---------------------------------------

def python(t):
    return t.own(Target([called(t, "python", sys.executable),
                         str(SOURCES / "worker.py")]))


def node(t):
    return t.own(Target([called(t, "node", find("node", "nodejs")),
                         str(SOURCES / "worker.js")]))


def go(t):
    compiler = find("go")
    made = BUILD / "storm"
    made.mkdir(exist_ok=True)
    subprocess.run([compiler, "build", "-o", made / "go",
                    SOURCES / "worker.go"], check=True,
                   env=dict(os.environ, GOCACHE=str(made / "cache"),
                            GO111MODULE="off", HOME=str(made)))
    return t.own(Target([called(t, "go", made / "go")]))


def jvm(t):
    java, compiler = find("java"), find("javac")
    subprocess.run([compiler, "-d", t.folder, SOURCES / "Worker.java"],
                   check=True)
    return t.own(Target([called(t, "java", java), "-Xmx96m",
                         f"-XX:ErrorFile={t.folder}/java-error",
                         "-cp", str(t.folder), "Worker"]))


# --- servers, with clients ----------------------------------------------------

class Client(threading.Thread):
    """Calls ask(connection) again and again; remembers the first failure."""

    def __init__(self, connect, ask):
        super().__init__(daemon=True)
        self.connect, self.ask = connect, ask
        self.answers = 0
        self.failure = None
        self.ending = threading.Event()

    def run(self):
        try:
            connection = self.connect()
            while not self.ending.wait(PAUSE_SECONDS):
                self.ask(connection)
                self.answers += 1
        except Exception as e:          # whatever it is, it was noticed
            self.failure = f"{type(e).__name__}: {e}"


class Server:
    """A process and its clients; ends by a signal of its own choice."""

    def __init__(self, name, argv, folder, ending=signal.SIGTERM):
        self.name = name
        self.ending = ending
        self.clients = []
        self.seen = 0
        self.log = folder / "log"
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *argv], cwd=folder,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True)
        self.pid = self.process.pid

    def serve(self, connect, *questions):
        """Wait until it can be reached, then ask for ever."""
        def reached():
            check(self.process.poll() is None,
                  f"{self.name} does not start: {self.words()}")
            try:
                connect().close()
            except OSError:
                return False
            return True

        wait_for(reached, 60, f"{self.name}'s start")
        self.clients = [Client(connect, ask) for ask in questions]
        for client in self.clients:
            client.start()
        return self

    def words(self):
        return self.log.read_text(errors="replace")[-1000:]

    def alive(self):
        """Nobody has noticed anything so far; does not wait."""
        for client in self.clients:
            check(client.failure is None,
                  f"{self.name}: {client.failure}; {self.words()}")
        check(self.process.poll() is None,
              f"{self.name} has ended: {self.words()}")

    def intact(self):
        for client in self.clients:
            before = client.answers
            wait_for(lambda: client.failure or client.answers > before,
                     PATIENCE_SECONDS, f"an answer of {self.name}")
        self.alive()

    def finish(self):
        self.intact()
        for client in self.clients:
            client.ending.set()
        for client in self.clients:
            client.join(PATIENCE_SECONDS)
        self.process.send_signal(self.ending)
        status = self.process.wait(60 * harness.SLOW)
        check(status == 0, f"{self.name} ended with {status}: {self.words()}")

    def stop(self):
        if self.process.returncode is None:
            self.process.send_signal(self.ending)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


def pattern(n):
    """Bytes with a period that divides a page; another for each @n."""
    return b"%08d" % (n % 10 ** 8)


def transfers(db):
    """Money goes from one account to another: the sum stays."""
    n = next(db.numbers)
    db.query(f"BEGIN; UPDATE a SET v = v - 1 WHERE id = {n % 50}; "
             f"UPDATE a SET v = v + 1 WHERE id = {n * 7 % 50}; COMMIT")
    rows = db.query("SELECT sum(v), count(*) FROM a")
    check(rows == [[b"0", b"50"]], f"PostgreSQL: sum and count are {rows}")


def remembers(db):
    """A large text that is the backend's own, and a sort."""
    n = next(db.numbers)
    word = pattern(n).decode()
    db.query(f"SELECT length(set_config('storm.text', "
             f"repeat('{word}', {BIG_BYTES // 8}), false))")
    for _ in range(8):
        time.sleep(PAUSE_SECONDS)
        rows = db.query("SELECT md5(current_setting('storm.text'))")
        expected = hashlib.md5(pattern(n) * (BIG_BYTES // 8)).hexdigest()
        check(rows == [[expected.encode()]], "PostgreSQL: a wrong text")
    rows = db.query("SELECT max(x) FROM (SELECT (i * 7919 % 1009) AS x FROM "
                    "generate_series(1, 1009) AS i ORDER BY x) AS s")
    check(rows == [[b"1008"]], f"PostgreSQL: the largest is {rows}")


def postgres(t):
    homes = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not homes:
        raise Missing("postgresql is not installed")
    folder = user_folder(t, "postgres")
    done = subprocess.run(
        as_user(str(homes[-1] / "initdb"), "-D", str(folder / "data"), "-N",
                "-A", "trust", "--locale=C", "-E", "SQL_ASCII"),
        capture_output=True, text=True, cwd=folder)
    check(done.returncode == 0, f"initdb: {done.stderr}")
    options = {"listen_addresses": "", "unix_socket_directories": str(folder),
               "fsync": "off", "shared_buffers": "8MB",
               "max_connections": "10", "autovacuum_naptime": "5s",
               "bgwriter_delay": "50ms", "jit": "off"}
    argv = [called(t, "postgres", homes[-1] / "postgres"),
            "-D", str(folder / "data")]
    for name, value in options.items():
        argv += ["-c", f"{name}={value}"]
    server = t.own(Server("PostgreSQL", as_user(*argv), folder,
                          signal.SIGINT))
    path = folder / ".s.PGSQL.5432"
    server.serve(lambda: Postgres(path, USER))
    db = Postgres(path, USER)
    db.query("CREATE TABLE a AS SELECT i AS id, 0::bigint AS v "
             "FROM generate_series(0, 49) AS i")
    db.close()
    return server.serve(lambda: Postgres(path, USER), transfers, transfers,
                        remembers, remembers)


def stores(db):
    """Values that are held for a while and then read and dropped."""
    n = next(db.numbers)
    key = b"%d" % n
    db.command(b"SET", key, pattern(n) * (BIG_BYTES // 64))
    db.held.append(n)
    if len(db.held) > 20:
        n = db.held.popleft()
        value = db.command(b"GET", b"%d" % n)
        check(value is not None, "Redis: a value is gone")
        check(value == pattern(n) * (BIG_BYTES // 64), "Redis: a wrong value")
        db.command(b"DEL", b"%d" % n)


def counts(db):
    """A counter, a wait with a time-out, and now and then a fork."""
    n = int(db.command(b"INCR", b"counter"))
    check(n == getattr(db, "last", 0) + 1, f"Redis: counted to {n}")
    db.last = n
    if n % 40 == 0:
        said = db.command(b"INFO", b"persistence")
        check(b"rdb_last_bgsave_status:ok" in said, f"Redis: {said}")
        if b"rdb_bgsave_in_progress:0" in said:
            db.command(b"BGSAVE")


def redis(t):
    program = find("redis-server")
    folder = user_folder(t, "redis")
    path = folder / "socket"
    server = t.own(Server("Redis", as_user(
        called(t, "redis", program), "--port", "0", "--unixsocket", str(path),
        "--save", "", "--appendonly", "no", "--dir", str(folder)), folder))
    return server.serve(lambda: Redis(path), stores, stores, counts)


NGINX = """
daemon off; pid {folder}/pid; error_log stderr; worker_processes 2;
events {{ worker_connections 64; }}
http {{
	access_log off; client_body_temp_path {folder}/body;
	proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
	uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
	server {{
		listen unix:{folder}/behind;
		root {folder}/root;
	}}
	server {{
		listen unix:{folder}/socket;
		# the whole answer lies in memory until the client has it
		proxy_buffers 16 128k; proxy_buffer_size 128k;
		proxy_busy_buffers_size 256k; proxy_max_temp_file_size 0;
		location / {{ proxy_pass http://unix:{folder}/behind; }}
	}}
}}
"""


def nginx_asks(path, numbers):
    """An answer that is fetched slowly, from a server behind a server."""
    def ask(_):
        n = next(numbers)
        with unix(path) as s:
            s.sendall(b"GET /%d HTTP/1.0\r\nHost: storm\r\n\r\n" % (n % 8))
            data = bytearray()
            while True:
                more = s.recv(BIG_BYTES // 8)
                if not more:
                    break
                data += more
                time.sleep(PAUSE_SECONDS)
        head, _, body = bytes(data).partition(b"\r\n\r\n")
        check(b" 200 " in head.split(b"\r\n")[0], f"nginx: {head[:200]}")
        check(body == pattern(n % 8) * (BIG_BYTES // 8), "nginx: a wrong page")
    return ask


def nginx(t):
    program = find("nginx")
    folder = user_folder(t, "nginx")
    (folder / "root").mkdir()
    for n in range(8):
        (folder / "root" / str(n)).write_bytes(pattern(n) * (BIG_BYTES // 8))
    (folder / "conf").write_text(NGINX.format(folder=folder))
    server = t.own(Server("nginx", as_user(
        called(t, "nginx", program), "-c", str(folder / "conf"),
        "-p", str(folder), "-e", "stderr"), folder, signal.SIGQUIT))
    numbers = itertools.count()
    path = folder / "socket"
    return server.serve(lambda: unix(path), *[
        nginx_asks(path, numbers) for _ in range(3)])


# --- a virtual machine --------------------------------------------------------

INIT = """#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t devtmpfs dev /dev
exec >/dev/console 2>&1
n=1000000
while :; do
	n=$((n + 1))
	yes $n | head -c 262144 >/file$((n % 16))
	a=$(md5sum </file$((n % 16)))
	b=$(yes $n | head -c 262144 | md5sum)
	[ "$a" = "$b" ] || echo broken $n
	echo beat $n
	sleep 0.2
done
"""


class Qemu:
    """An emulated machine that writes files, reads them and says so."""

    def __init__(self, t):
        why = guest.missing()
        if why:
            raise Missing(why)
        try:
            kernel = guest.kernel()
        except guest.Unavailable as e:
            raise Missing(str(e)) from None
        root = Archive(t.folder / "initramfs")
        for name in ("dev", "proc"):
            root.folder(name)
        root.file(shutil.which("busybox"), "bin/busybox")
        root.data("init", INIT.encode(), 0o755)
        root.close()
        self.console = t.folder / "console"
        self.server = t.own(Server("qemu", [
            find("qemu-system-x86_64"), "-name", "storm,process=storm-qemu",
            "-machine", "mem-merge=off", "-nodefaults", "-no-user-config",
            "-display", "none", "-accel", "tcg,thread=single,tb-size=32",
            "-m", "128", "-no-reboot", "-serial", f"file:{self.console}",
            "-kernel", str(kernel), "-initrd", str(t.folder / "initramfs"),
            "-append", "console=ttyS0 quiet panic=-1 mitigations=off"],
            t.folder))
        self.pid = self.server.pid
        wait_for(self.beats, 180, "the guest's start")

    def said(self):
        try:
            return self.console.read_text(errors="replace")
        except FileNotFoundError:
            return ""

    def alive(self):
        self.server.alive()

    def beats(self):
        self.alive()
        return self.said().count("beat ")

    def intact(self):
        before = self.beats()
        wait_for(lambda: self.beats() > before, PATIENCE_SECONDS,
                 "a line of the guest")
        for word in ("broken", "Oops", "BUG", "panic", "segfault", "traps:"):
            check(word not in self.said(), f"the guest: {self.said()[-500:]}")

    def finish(self):
        self.intact()
        self.server.finish()


ALL = (python, node, go, jvm, postgres, redis, nginx, Qemu)
