#!/usr/bin/python3
"""The crash test: nothing that was accepted is lost, whatever dies.

Clients send messages with known ids all the time. Meanwhile the gateway is killed at random moments, also while it starts, and beside that its handlers die or hang, its disk is full, writes fail, another process holds the file, or Redis
dies, hangs and has no memory left. Handlers write down, durably, what they have handled. At the end everything is left alone until the queues are empty, and what was told is compared with what was done.

    crash.py --store sqlite --kills 200 --seed 7

The same seed makes the same messages and the same plan of faults; what meets what is up to the machine. Ends with 1 when anything was lost.
"""
import argparse
import collections
import pathlib
import random
import signal
import sys
import tempfile
import time

from faults import FAULTS, Nothing
from ledger import Ledger
from senders import start_senders, stop_senders
from stand import STORES, in_own_mounts, make_gateways, wait_drained


STARTS = 3  # once no fault is on


class Plan:
    """Which faults come, and when a gateway dies. Every kind of fault comes once before any comes again."""

    def __init__(self, gateways, store, seed):
        self.gateways, self.store = gateways, store
        self.rng = random.Random(f"{seed}/plan")
        self.bag = []
        self.counts = collections.Counter()
        self.refusals = []  # to start, in the gateway's words

    def next_fault(self, gateway):
        if not self.bag:
            self.bag = [*FAULTS[self.store.name], *[Nothing] * len(FAULTS[self.store.name])]
            self.rng.shuffle(self.bag)
        return self.bag.pop()(gateway, self.store, self.rng)

    def kill(self, gateway):
        sig = signal.SIGTERM if self.rng.random() < 0.1 else signal.SIGKILL
        if gateway.running:
            self.counts["gateway stopped (SIGTERM)" if sig == signal.SIGTERM else "gateway killed (SIGKILL)"] += 1
        gateway.kill(sig)

    def kill_while_starting(self, gateway):
        gateway.start()
        time.sleep(self.rng.uniform(0, 0.3))
        self.kill(gateway)

    def begin(self, fault):
        for g in self.gateways:
            g.troubled = True
        if fault.begin():
            self.counts[fault.name] += 1

    def round(self):
        """A gateway runs, something happens to it, it dies, and is started again before or after that is over."""
        gateway = self.rng.choice(self.gateways)
        fault = self.next_fault(gateway)
        time.sleep(self.rng.uniform(0, 0.8))
        self.begin(fault)
        time.sleep(fault.seconds())
        ends_first = self.rng.random() < 0.5
        if ends_first:
            fault.end()
            time.sleep(self.rng.uniform(0, 0.5))
        self.kill(gateway)
        if self.rng.random() < 0.2:
            self.kill_while_starting(gateway)
        gateway.start()
        if not ends_first:
            time.sleep(self.rng.uniform(0, 0.5))
            fault.end()
        self.recover()

    def recover(self):
        """All are up again; one that would not start while a fault was on does so now."""
        for g in self.gateways:
            attempts = 0
            while not g.wait_ready():
                g.note_end()
                self.counts["starts refused"] += 1
                self.refusals.append(tail(g.log_path).strip().splitlines()[-1])
                if attempts == STARTS:
                    raise SystemExit(f"the gateway does not start any more: {tail(g.log_path)}")
                attempts += 1
                g.start()
            g.troubled = False

    @property
    def kills(self):
        return self.counts["gateway killed (SIGKILL)"]


def tail(path, size=3000):
    return path.read_bytes()[-size:].decode(errors="replace")


def disturb(plan, ledger, options):
    """True when everything that was queued has been handled at the end."""
    end = time.monotonic() + options.seconds
    for g in plan.gateways:
        g.start()
    plan.recover()
    senders = start_senders(plan.gateways, ledger, options.seed)
    while plan.kills < options.kills and time.monotonic() < end:
        plan.round()
    stop_senders(senders)
    return wait_drained(plan.store, ledger)


def run(folder, options):
    began = time.monotonic()
    with STORES[options.store](folder) as store:
        ledger, plan = Ledger(folder), Plan(make_gateways(folder, store), store, options.seed)
        try:
            drained = disturb(plan, ledger, options)
            for g in plan.gateways:
                g.kill(signal.SIGTERM)
            left = [] if drained else [str(store.messages())]
        finally:
            for g in plan.gateways:
                g.kill()
    return report(plan, ledger, options, left, time.monotonic() - began)


def verdict(plan, ledger, left):
    """What must be empty, by its name."""
    wrong = ledger.verdict()
    wrong["still queued"] = left
    wrong["ends of a gateway that nobody asked for"] = [d for g in plan.gateways for d in g.deaths]
    wrong["faults that did not happen"] = [] if plan.kills and ledger.was_disturbed() else ["no gateway was killed, or no sender noticed"]
    return wrong


def report(plan, ledger, options, left, seconds):
    """Prints the table; true when nothing is wrong."""
    wrong = verdict(plan, ledger, left)
    print(f"crash test: {options.store}, seed {options.seed}, {len(plan.gateways)} gateway(s), {seconds:.0f} s\n")
    if plan.store.name == "sqlite" and not plan.store.is_small:
        print("A full disk was LEFT OUT: nothing may be mounted here.\n")
    table("fault", "times", dict(sorted(plan.counts.items())))
    table("sends", "accepted / refused / unknown", {k: f"{c['accepted']} / {c['refused']} / {c['unknown']}" for k, c in sorted(ledger.sends.items())})
    table("handled in", "messages", dict(sorted(ledger.handled.items())) | {"(again)": ledger.redelivered, "(sender was not told)": ledger.unknown_but_kept})
    table("wrong", "must be 0", {k: len(v) for k, v in wrong.items()})
    for refusal in sorted(set(plan.refusals)):
        print(f"a start was refused: {refusal}")
    for name, found in wrong.items():
        for item in found[:10]:
            print(f"{name}: {item}")
    ok = not any(wrong.values())
    for g in plan.gateways:
        if not ok:
            print(f"--- {g.log_path.name} ends with\n{tail(g.log_path)}")
    return ok


def table(head, unit, entries):
    print(f"| {head:<42} | {unit:>28} |\n| {'-' * 42} | {'-' * 27}: |")
    for name, value in entries.items():
        print(f"| {name:<42} | {value:>28} |")
    print(flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", choices=STORES, default="sqlite")
    parser.add_argument("--kills", type=int, default=200, help="SIGKILLs of the gateway (default 200)")
    parser.add_argument("--seconds", type=float, default=3600, help="no more faults after this time (default 3600)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", help="a new folder for everything, which is kept")
    options = parser.parse_args()
    in_own_mounts()
    if options.keep:
        pathlib.Path(options.keep).mkdir()
        return run(pathlib.Path(options.keep).resolve(), options)
    with tempfile.TemporaryDirectory(prefix="execgate-crash-") as folder:
        return run(pathlib.Path(folder), options)


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
