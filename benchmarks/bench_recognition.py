"""Recognition of a file's format, for each format: the processor time until its first bytes have decided it."""

from __future__ import annotations

import statistics
import time

from muonstream.detector.model import Detector
from muonstream.formats.evidence import Expected
from muonstream.formats.recognise import Recogniser, Wanted
from tools.streams import IDLE_WORD, WRITERS, StreamConfig, make_words

ROUNDS = 40
SAMPLE_BYTES = 1 << 16
MOST_MS = 20.0
"""What is asked for, of a file that shows its format within so many bytes."""


def samples() -> dict[str, bytes]:
    """The first bytes of a good file of each format, and of some that show it late."""
    words = make_words(StreamConfig())
    found = {form: write(words)[:SAMPLE_BYTES] for form, write in WRITERS.items()}
    idle = IDLE_WORD.to_bytes(8, "little") * 4000
    found["words after idle words"] = (idle + found["words"])[:SAMPLE_BYTES]
    found["course in UTF-16"] = found["course"].decode().encode("utf-16")[:SAMPLE_BYTES]
    found["course after a comment"] = (b"# " + b"temperature 21 C; " * 1700 + b"\n" + found["course"])[:SAMPLE_BYTES]
    return found


def recognise(data: bytes, wanted: Wanted) -> tuple[int, str]:
    """After how many bytes a format is recognised, and which."""
    recogniser, size = Recogniser("file", wanted), 64
    while not recogniser.feed(data[recogniser.size : size]) and size < len(data):
        size = min(2 * size, len(data))
    if recogniser.form is None:
        recogniser.end()
    return size, "" if recogniser.form is None else recogniser.form.format


def main() -> None:
    """Measure and print; the formats are measured in turn."""
    wanted = Wanted(Expected.of(Detector.default().channel_map()))
    data = samples()
    spent: dict[str, list[float]] = {form: [] for form in data}
    found = {form: recognise(sample, wanted) for form, sample in data.items()}
    for _ in range(ROUNDS):
        for form, sample in data.items():
            began = time.thread_time()
            recognise(sample, wanted)
            spent[form].append(time.thread_time() - began)
    print(f"\nRecognition: processor time, kernels compiled (at most {MOST_MS:.0f} ms are asked for)")
    print(f"{'':28} {'recognised as':16} {'after bytes':>12} {'median ms':>12} {'least ms':>12}")
    for form, seconds in spent.items():
        size, name = found[form]
        print(f"{form:28} {name:16} {size:12,} {1e3 * statistics.median(seconds):12.2f} {1e3 * min(seconds):12.2f}")


if __name__ == "__main__":
    main()
