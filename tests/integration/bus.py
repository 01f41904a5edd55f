#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""org.ksmdplus1 on a system bus of the test's own: Debian's bus daemon with
Debian's system.conf, our policy file, and Debian's polkitd with our actions."""

import contextlib
import grp
import os
import pwd
import re
import shutil
import subprocess
import threading
import xml.etree.ElementTree
from pathlib import Path

import harness
from dbusclient import ALLOW_INTERACTIVE, Connection, Gone, Refused
from harness import check, skip, wait_for

NAME, OBJECT = "org.ksmdplus1", "/org/ksmdplus1"
MANAGER = "org.ksmdplus1.Manager"
PROPERTIES = "org.freedesktop.DBus.Properties"
POLKIT = "org.freedesktop.PolicyKit1"
STOCK = Path("/usr/share/dbus-1/system.conf")
POLICIES = Path("/usr/share/dbus-1/system.d")
DENIED = "org.freedesktop.DBus.Error.AccessDenied"
DIALOG = "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired"
LIMITS = "org.freedesktop.DBus.Error.LimitsExceeded"
NOBODY, GAMES = 65534, 5


class Bus:
    """A bus daemon, as Debian's system bus is but for starting services."""

    def __init__(self, t):
        if not shutil.which("dbus-daemon") or not STOCK.exists():
            skip("dbus-daemon is not installed")
        t.folder.chmod(0o755)
        self.path = t.folder / "system_bus"
        self.env = {"DBUS_SYSTEM_BUS_ADDRESS": f"unix:path={self.path}"}
        text = re.sub(r"<!--.*?-->", "", STOCK.read_text(), flags=re.S)
        text = re.sub(r"<(fork|syslog|standard_system_servicedirs)\s*/>", "",
                      text)
        for tag in ("servicehelper", "pidfile", "listen", "includedir",
                    "include"):
            text = re.sub(rf"<{tag}\b[^>]*>.*?</{tag}>", "", text)
        more = f"<listen>unix:path={self.path}</listen>" + "".join(
            f"<include ignore_missing='yes'>{path}</include>" for path in (
                harness.TOP / "etc/dbus/org.ksmdplus1.conf",
                POLICIES / "org.freedesktop.PolicyKit1.conf",
                POLICIES / "org.freedesktop.systemd1.conf"))
        self.config = t.folder / "system_bus.conf"
        self.config.write_text(text.replace("</busconfig>",
                                            more + "</busconfig>"))
        self.process = None
        self.start()

    def start(self):
        self.process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "dbus-daemon", "--nofork",
             "--nopidfile", f"--config-file={self.config}"],
            stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(self.answers, 60, "the bus daemon's first answer")

    def answers(self):
        check(self.process.poll() is None, "the bus daemon has ended")
        with contextlib.suppress(OSError, Gone):
            Connection(self.path).close()
            return True
        return False

    def stop(self):
        self.process.kill()
        self.process.wait()

    def connect(self, uid=0, groups=()):
        """A client of that uid; who it is counts when it connects."""
        saved = os.getgroups()
        try:
            os.setgroups(groups)
            os.setegid(uid)
            os.seteuid(uid)
            return Connection(self.path)
        finally:
            os.seteuid(0)
            os.setegid(0)
            os.setgroups(saved)

    def has(self, name):
        client = self.connect()
        try:
            return client.driver("NameHasOwner", "s", name)
        finally:
            client.close()


def readers():
    """The gid of those who may read by our policy."""
    return grp.getgrnam("adm").gr_gid


def with_bus(t, config=None, **kwargs):
    """(bus, daemon that has its name there)"""
    harness.need_ksm()
    bus = t.own(Bus(t))
    daemon = t.daemon(config or t.config(), env=bus.env, **kwargs)
    wait_for(lambda: bus.has(NAME), 60, "the name on the bus")
    return bus, daemon


def get_all(client):
    return client.call(NAME, OBJECT, PROPERTIES, "GetAll", "s", MANAGER)


def ask(client, method, *args, **kwargs):
    return client.call(NAME, OBJECT, MANAGER, method, *args, **kwargs)


def refused(function, *args, **kwargs):
    """The name of the error that must come of it."""
    try:
        function(*args, **kwargs)
    except Refused as e:
        return e.name
    raise harness.Failed(f"{args[1:]} was not refused")


# --- who sees what ----------------------------------------------------------

def shows_what_the_socket_shows(bus, daemon):
    client = bus.connect()
    shown, status = get_all(client), daemon.status()
    check(shown["Version"] == status["version"], f"{shown}")
    check(shown["Engine"] == status["engine"], f"{shown}")
    check([row[0] for row in shown["Targets"]] ==
          [target["name"] for target in status["targets"]], f"{shown}")
    check(ask(client, "ListProcesses") == [], "a process is listed")
    check(ask(client, "ExplainProcess", "u", 1) == [], "pid 1 is explained")
    log = daemon.log()
    check(log.count("is on the system bus") == 1, log)


def members(text):
    """Everything that an interface has, in words."""
    root = xml.etree.ElementTree.fromstring(text)
    for interface in root.iter("interface"):
        if interface.get("name") != MANAGER:
            continue
        for member in interface:
            words = [member.tag, *(member.get(key) for key in
                                   ("name", "type", "access"))]
            words += [(arg.get("name"), arg.get("type"),
                       arg.get("direction", "out"))
                      for arg in member.iter("arg")]
            for note in member.iter("annotation"):
                if "EmitsChanged" in note.get("name") and \
                   note.get("value") != "true":     # what it means unsaid
                    words.append(note.get("value"))
            yield tuple(words)


def introspection_is_what_is_documented(bus, _):
    client = bus.connect(NOBODY)    # it is no secret
    text = client.call(NAME, OBJECT, "org.freedesktop.DBus.Introspectable",
                       "Introspect")
    live = set(members(text))
    path = harness.TOP / "etc/dbus/org.ksmdplus1.Manager.xml"
    written = set(members(path.read_text()))
    check(len(live) > 25, f"{live}")
    check(live == written, f"only live {live - written}, "
                           f"only written {written - live}")


def reading_is_for_the_group(bus, _):
    member = bus.connect(NOBODY, [readers()])
    check(get_all(member)["State"] != "", "no state")
    check(ask(member, "ListProcesses") == [], "a process is listed")
    stranger = bus.connect(NOBODY)
    check(refused(get_all, stranger) == DENIED, "a stranger reads")
    check(refused(ask, stranger, "ListProcesses") == DENIED, "and lists")
    check(refused(stranger.call, NAME, OBJECT, "", "ListProcesses") == DENIED,
          "and lists without an interface")
    check(refused(stranger.driver, "RequestName", "su", NAME, 2) == DENIED,
          "a stranger may take the name")


def changing_is_for_root_without_polkit(bus, daemon):
    root, member = bus.connect(), bus.connect(NOBODY, [readers()])
    for method, *args in (("Pause",), ("Resume",), ("Rescan",),
                          ("Adopt", "u", os.getpid())):
        check(refused(ask, member, method, *args) == DENIED, method)
    check(daemon.status()["state"] != "paused", "the member has paused it")
    ask(root, "Pause")
    check(daemon.status()["state"] == "paused", "root has not paused it")
    ask(root, "Resume")
    check(daemon.status()["state"] != "paused", "root has not resumed it")
    ask(root, "Rescan")
    check(refused(ask, root, "Adopt", "u", 2**31) ==
          "org.freedesktop.DBus.Error.InvalidArgs", "no such process")
    check(refused(ask, root, "Adopt", "s", "1").endswith("InvalidArgs"),
          "another signature")


# --- polkit -----------------------------------------------------------------

RULES = """
polkit.addRule(function(action, subject) {
	if (action.id == "org.ksmdplus1.steer" && subject.user == "games")
		return polkit.Result.YES;
	if (action.id == "org.ksmdplus1.adopt" && subject.user == "games")
		return polkit.Result.NO;
});
"""


def polkitd(t, bus):
    """Debian's polkitd, with our actions and one rule, on that bus."""
    program = next((p for p in ("/usr/lib/polkit-1/polkitd",
                                "/usr/libexec/polkitd",
                                "/usr/libexec/polkit-1/polkitd")
                    if os.access(p, os.X_OK)), None)
    if not program or shutil.which("unshare") is None:
        skip("polkitd is not installed")
    with contextlib.suppress(KeyError):
        if pwd.getpwnam("games").pw_uid != GAMES:
            skip("games is somebody else here")
    rules, actions = t.folder / "rules.d", t.folder / "actions"
    for folder in (rules, actions):
        folder.mkdir(mode=0o755)
    (rules / "50-test.rules").write_text(RULES)
    shutil.copy(harness.TOP / "etc/polkit/org.ksmdplus1.policy", actions)
    process = subprocess.Popen(
        ["setpriv", "--pdeathsig", "KILL", "unshare", "-m", "sh", "-ec",
         'mount --bind "$1" /usr/share/polkit-1/actions; '
         'mount --bind "$2" /etc/polkit-1/rules.d; exec "$3" --no-debug',
         "sh", str(actions), str(rules), program],
        env={**os.environ, **bus.env}, stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def stop():
        process.kill()
        process.wait()
    t.stack.callback(stop)

    def is_there():
        if process.poll() is not None:
            skip("polkitd does not run on a private bus here")
        return bus.has(POLKIT)
    wait_for(is_there, 60, "polkit on the bus")


def polkit_decides(t):
    bus, daemon = with_bus(t)
    polkitd(t, bus)
    games, nobody = bus.connect(GAMES), bus.connect(NOBODY)
    ask(games, "Pause")
    check(daemon.status()["state"] == "paused", "games has not paused it")
    check(refused(ask, nobody, "Resume") == DIALOG, "nobody is no admin")
    check(daemon.status()["state"] == "paused", "nobody has resumed it")
    check(refused(ask, nobody, "Resume", flags=ALLOW_INTERACTIVE) in
          (DENIED, DIALOG), "nobody has no agent")
    ask(games, "Resume")
    check(daemon.status()["state"] != "paused", "games has not resumed it")
    check(refused(ask, games, "Adopt", "u", os.getpid()) == DENIED, "adopts")
    check(refused(get_all, games) == DENIED, "polkit lets games read")


def polkit_that_is_mute_holds_nobody_up(bus, daemon):
    uid = pwd_uid("polkitd")
    if uid is None:
        return                          # its name is nobody's here
    polkit = bus.connect(uid)
    check(polkit.driver("RequestName", "su", POLKIT, 0) == 1, "its name")
    root, nobody = bus.connect(), bus.connect(NOBODY)
    begun = [nobody.begin(NAME, OBJECT, MANAGER, "Pause") for _ in range(20)]
    check(refused(nobody.finish, begun[-1]) == LIMITS, "20 at once")
    ask(root, "Pause")
    check(daemon.status()["state"] == "paused", "root has to wait")
    nobody.close()                      # in the middle of its calls
    other = bus.connect(NOBODY)
    begun = other.begin(NAME, OBJECT, MANAGER, "Resume")
    polkit.close()                      # its owner is gone: an answer
    check(refused(other.finish, begun) == DENIED, "no answer is a yes")
    check(daemon.status()["state"] == "paused", "somebody has resumed it")
    ask(root, "Resume")


def pwd_uid(name):
    try:
        return pwd.getpwnam(name).pw_uid
    except KeyError:
        return None


# --- signals ----------------------------------------------------------------

def tells_what_happens(t):
    targets = [t.target("dup", "--id", str(i), "--size", "16",
                        "--dup", "50") for i in range(2)]
    harness.need_ksm()
    bus = t.own(Bus(t))
    stranger, member = bus.connect(NOBODY), bus.connect(NOBODY, [readers()])
    for client in (stranger, member):
        client.driver("AddMatch", "s", f"type='signal',sender='{NAME}'")
    daemon = t.daemon(t.config(), env=bus.env)
    begun = member.signal("PulseBegan", match=lambda a: a[0] >= 1500)
    check(begun and begun[1] >= begun[0], f"no pulse began: {begun}")
    ended = member.signal("PulseEnded")
    check(ended and ended[1] > 0 and ended[2] > 0 and ended[4],
          f"no pulse ended: {ended}")

    def savings(args):
        return args[0] == MANAGER and args[1].get("PagesSaved", 0) >= 1500
    changed = member.signal("PropertiesChanged", match=savings)
    check(changed, "no word of savings")
    check(changed[1]["BytesSaved"] == changed[1]["PagesSaved"] * 4096 and
          changed[1]["Targets"][0][0] == "test", f"{changed}")
    # one write from outside is a warning, and its end the end of it
    harness.ksm_write("pages_to_scan", 77)
    ask(bus.connect(), "Rescan")
    raised = member.signal("WarningRaised",
                           match=lambda a: a[0] == "knob-foreign")
    check(raised and "pages_to_scan" in raised[1], f"{raised}")
    changed = member.signal("PropertiesChanged",
                            match=lambda a: "Warnings" in a[1])
    check(daemon.ctl("pause").returncode == 0, "pause")
    check(member.signal("PropertiesChanged",
                        match=lambda a: a[1].get("State") == "paused"),
          "no word of the pause")
    check(not stranger.signal("PulseBegan", 0.1) and not stranger.signals,
          f"a stranger hears: {stranger.signals}")
    for target in targets:
        target.intact()


def tells_who_asks_on_the_socket(t):
    harness.need_ksm()
    daemon = t.daemon(t.config(), env={
        "DBUS_SYSTEM_BUS_ADDRESS": f"unix:path={t.folder}/none"})
    mute, client = (Connection(daemon.run_dir / "bus") for _ in range(2))
    client.driver("AddMatch", "s", "type='signal'")
    ask(client, "Pause")
    check(client.signal("PropertiesChanged",
                        match=lambda a: a[1].get("State") == "paused"),
          "no word of the pause")
    ask(client, "Resume")
    check(client.signal("PropertiesChanged",
                        match=lambda a: "State" in a[1]), "nor of its end")
    check(not mute.signal("PropertiesChanged", 0.1) and not mute.signals,
          "who has not asked is told")
    client.driver("RemoveMatch", "s", "type='signal'")
    log = daemon.log()
    check(log.count("There is no system bus") == 1, log)


# --- units with MemoryKSM= --------------------------------------------------

CGROUPS = Path("/sys/fs/cgroup")


def in_unit(t, unit, pid):
    """Put @pid into a control group of that name, as systemd would."""
    for base in (CGROUPS / "systemd", CGROUPS / "unified", CGROUPS):
        group = base / f"ksmd-plus-test.slice-{os.getpid()}" / unit
        try:
            group.mkdir(parents=True)
            t.stack.callback(group.parent.rmdir)
            t.stack.callback(group.rmdir)
            (group / "cgroup.procs").write_text(str(pid))
        except OSError:
            continue
        if unit in Path(f"/proc/{pid}/cgroup").read_text():
            # the group is empty before it is removed
            t.stack.callback((base / "cgroup.procs").write_text, str(pid))
            return
    skip("no control group can be made here")


def answer(systemd, unit):
    """As systemd 257 does for a unit with MemoryKSM=yes; it is in tests/vm."""
    with contextlib.suppress(Gone):     # with the bus
        while True:
            call = systemd.next()
            if not call or call["type"] != 1:
                continue
            asked = call["path"].rsplit("/", 1)[1]
            yes = asked == unit.replace("-", "_2d").replace(".", "_2e")
            systemd.send(2, {"destination": call["sender"],
                             "reply_to": call["serial"]}, "v",
                         (("b", yes),))


def names_units_with_memory_ksm(t):
    harness.need_ksm()
    bus = t.own(Bus(t))
    systemd = bus.connect()
    check(systemd.driver("RequestName", "su", "org.freedesktop.systemd1", 0)
          == 1, "the name of systemd")
    unit = "ksmd-plus-web.service"
    threading.Thread(target=answer, args=(systemd, unit), daemon=True).start()
    inside, outside = (t.target("dup", "--id", str(i), "--size", "8",
                                "--register", "prctl") for i in range(2))
    in_unit(t, unit, inside.pid)
    daemon = t.daemon("[target others]\nuser = *\nexe = /usr/*\n"
                      "mode = exclude\n", env=bus.env)

    def row(pid):
        return next((p for p in daemon.ctl_json("list") if p["pid"] == pid),
                    {"target": ""})
    wait_for(lambda: row(inside.pid)["target"] == "MemoryKSM", 90,
             "the unit's row")
    check("MemoryKSM=" in row(inside.pid)["rule"], f"{row(inside.pid)}")
    wait_for(lambda: row(outside.pid)["target"] == "self-registered", 60,
             "the other's row")
    names = [x["name"] for x in daemon.status()["targets"]]
    check("MemoryKSM" in names and "self-registered" in names, f"{names}")


# --- a bus that comes and goes ----------------------------------------------

def comes_back_with_the_bus(t):
    harness.need_ksm()
    bus = t.own(Bus(t))
    other = bus.connect()
    check(other.driver("RequestName", "su", NAME, 0) == 1, "the other's name")
    daemon = t.daemon(t.config(), env=bus.env)
    wait_for(lambda: "refuses the name" in daemon.log(), 60, "a word of it")
    other.close()
    wait_for(lambda: bus.has(NAME), 90, "the name, when it is free")
    check(daemon.log().count("refuses the name") == 1, daemon.log())
    for _ in range(2):
        bus.stop()
        check(daemon.status()["state"], "the socket depends on the bus")
        bus.start()
        wait_for(lambda: bus.has(NAME), 90, "the name on the new bus")
    log = daemon.log()
    check(log.count("The system bus is gone") == 2, log)
    check(log.count("is on the system bus") == 3, log)
    check("no system bus" not in log, log)
    check(daemon.terminate() == 0, "its exit status")


# --- hostile clients --------------------------------------------------------

def survives_its_clients(bus, daemon):
    pid = daemon.process.pid
    for _ in range(100):                # gone before the answer
        client = bus.connect(NOBODY, [readers()])
        client.begin(NAME, OBJECT, PROPERTIES, "GetAll", "s", MANAGER)
        client.begin(NAME, OBJECT, MANAGER, "Pause")
        client.close()
    flood = bus.connect(NOBODY, [readers()])
    flood.socket.setblocking(False)
    call = flood.message(1, {
        "destination": NAME, "path": OBJECT, "interface": PROPERTIES,
        "member": "GetAll"}, "s", (MANAGER,))
    with contextlib.suppress(BlockingIOError, BrokenPipeError,
                             ConnectionResetError):
        for _ in range(2000):           # never reads an answer
            flood.socket.send(call)
    flood.close()
    huge = bus.connect(NOBODY)
    check(refused(ask, huge, "Adopt", "ay", bytes(8 << 20)).startswith(
        "org.freedesktop.DBus.Error."), "8 MiB of nothing")
    odd = bus.connect(NOBODY, [readers()])
    for path in ("/", "/org", OBJECT + "/x", "/org/freedesktop/DBus"):
        check(refused(odd.call, NAME, path, PROPERTIES, "GetAll", "s",
                      MANAGER).endswith(("UnknownObject", "UnknownInterface",
                                         "UnknownMethod")), path)
    check(refused(odd.call, NAME, OBJECT, PROPERTIES, "Set", "ssv", MANAGER,
                  "State", ("s", "paused")).endswith(
        ("PropertyReadOnly", "AccessDenied")), "State can be written")
    check(get_all(bus.connect())["State"] != "paused", "it is paused")
    check(daemon.process.poll() is None and daemon.process.pid == pid,
          "it has ended")


def who_may_what(t):
    """One daemon is enough for all that leaves it as it was."""
    bus, daemon = with_bus(t)
    for part in (shows_what_the_socket_shows,
                 introspection_is_what_is_documented,
                 reading_is_for_the_group,
                 changing_is_for_root_without_polkit,
                 polkit_that_is_mute_holds_nobody_up, survives_its_clients):
        try:
            part(bus, daemon)
        except Exception as e:
            raise harness.Failed(f"{part.__name__}: {e!r}") from e


if __name__ == "__main__":
    harness.run(who_may_what, polkit_decides, tells_what_happens,
                tells_who_asks_on_the_socket, names_units_with_memory_ksm,
                comes_back_with_the_bus, needs=harness.need_ksm)
