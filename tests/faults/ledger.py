"""What senders were told and what handlers did; from both, what was lost."""
import collections
import pathlib
import threading

from senders import ACCEPTED, UNKNOWN


class Ledger:
    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.lock = threading.Lock()
        self.told = collections.defaultdict(dict)     # queue -> id -> what is known
        self.message_ids = {}                         # of deduplicated ones: id -> message id
        self.with_held = set()                        # ids whose handling sends a message along with the answer
        self.sends = collections.defaultdict(collections.Counter)
        self.surprises = []

    # --- senders ---
    def note_send(self, label, known):
        with self.lock:
            self.sends[label.rstrip("0123456789")][known] += 1

    def note_told(self, queue, id, known, message_id=None, held=False):
        with self.lock:
            self.told[queue][id] = known
            if message_id:
                self.message_ids[id] = message_id
            if held:
                self.with_held.add(id)

    def note_surprise(self, text):
        with self.lock:
            self.surprises.append(text)

    def was_disturbed(self):
        """Sends were accepted, and others were not."""
        total = sum(self.sends.values(), collections.Counter())
        return total[ACCEPTED] > 0 and total[UNKNOWN] > 0

    # --- handlers ---
    def lines(self, name):
        file = self.folder / name
        return file.read_text().splitlines() if file.exists() else []

    def size(self):
        file = self.folder / "handled"
        return file.stat().st_size if file.exists() else 0

    # --- the end ---
    def verdict(self):
        """What must be empty, by its name."""
        handled = collections.defaultdict(lambda: collections.defaultdict(list))  # queue -> id -> message ids, in order
        order = []
        for line in self.lines("handled"):
            queue, id, message_id = line.split()
            handled[queue][id].append(message_id)
            order.append((queue, id))
        for queue in ("onward", "later"):
            self.told[queue] |= dict.fromkeys(self.lines(queue), ACCEPTED)
        self.handled = {q: len(ids) for q, ids in handled.items()}
        self.redelivered = sum(len(m) - 1 for ids in handled.values() for m in ids.values())
        self.unknown_but_kept = sum(1 for q, ids in self.told.items() for i, known in ids.items() if known != ACCEPTED and i in handled[q])
        return {"accepted, never handled": [f"{q} {i}" for q, ids in self.told.items() for i, known in ids.items() if known == ACCEPTED and i not in handled[q]],
                "handled, nobody sent it": [f"{q} {i}" for q in ("orders", "ordered", "dead") for i in handled[q] if i not in self.told[q]],
                "sent with an answer, never handled": self.answers_without_message(handled),
                "sent with a failed answer, handled": [i for i in self.lines("withdrawn") if i in handled["held"]],
                "deduplicated, kept twice": [f"{i} {set(m)}" for i, m in self.all_handled(handled) if i in self.message_ids and set(m) != {self.message_ids[i]}],
                "one message in two places": [f"{i} {set(m)}" for i, m in self.all_handled(handled) if len(set(m)) > 1 and i not in self.message_ids],
                "handled before its predecessor": out_of_order(order),
                "given up without reason": list(handled["lost"]),
                "answers that nobody expects": self.surprises}

    @staticmethod
    def all_handled(handled):
        return [(i, m) for ids in handled.values() for i, m in ids.items()]

    def answers_without_message(self, handled):
        """A message is gone only after an answer was accepted, and with it what it sent along."""
        arrived = {i.split("/")[0] for i in handled["held"]}
        return [i for i in handled["orders"] if i in self.with_held and i not in arrived]


def out_of_order(order):
    """Each of a group must have been handled before the next one is, for the first time."""
    last, seen, wrong = collections.defaultdict(int), set(), []
    for queue, id in order:
        if queue != "ordered" or id in seen:
            continue
        seen.add(id)
        group, number = id.rsplit("-", 1)
        if int(number) != last[group] + 1:
            wrong.append(f"{id} after {last[group]}")
        last[group] = int(number)
    return wrong
