"""Function and file lengths: 100 lines for a function and 800 for a file are hard limits."""
import statistics
import subprocess
import sys

FUNCTION_LIMIT, FILE_LIMIT = 100, 800


def tracked():
    out = subprocess.run(["git", "ls-files", "gateway", "plugins", "local-api", "sdk-examples"], capture_output=True, text=True, check=True)
    return [f for f in out.stdout.split() if f.endswith((".c", ".h"))]


def function_lengths(files):
    out = subprocess.run(["ctags", "-x", "--c-kinds=f", "--fields=+ne", "--_xformat=%{end} %n %N %F", *files],
                         capture_output=True, text=True, check=True)
    for line in out.stdout.splitlines():
        end, start, name, path = line.split(" ", 3)
        if end.isdigit():
            yield int(end) - int(start) + 1, f"{path}:{start} {name}"


def main():
    files = tracked()
    functions = sorted(function_lengths(files))
    lengths = [n for n, _ in functions]
    long_ones = [f"{where} has {n} lines (limit {FUNCTION_LIMIT})" for n, where in functions if n > FUNCTION_LIMIT]
    for path in files:
        if path == "sdk-examples/execgate.h":
            continue  # one file is what it promises its users
        lines = sum(1 for _ in open(path, encoding="utf-8"))
        if lines > FILE_LIMIT:
            long_ones.append(f"{path} has {lines} lines (limit {FILE_LIMIT})")
    print("\n".join(long_ones))
    p95 = lengths[int(len(lengths) * 0.95)]
    print(f"lengths: {len(lengths)} functions, median {statistics.median(lengths):.0f} lines, p95 {p95}, longest {lengths[-1]}")
    return 1 if long_ones else 0


if __name__ == "__main__":
    sys.exit(main())
