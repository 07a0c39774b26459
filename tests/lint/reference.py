"""Writes the generated part of docs/blueprint.md: reference.py EXECGATE DOCUMENT"""
import pathlib
import subprocess
import sys

BEGIN, END = "<!-- reference: begin -->\n", "<!-- reference: end -->"


def main(execgate, document):
    reference = subprocess.run([execgate, "schema", "--markdown"], check=True, capture_output=True, text=True).stdout
    path = pathlib.Path(document)
    head, rest = path.read_text().split(BEGIN)
    _, tail = rest.split(END)
    path.write_text(f"{head}{BEGIN}{reference}{END}{tail}")


if __name__ == "__main__":
    main(*sys.argv[1:])
