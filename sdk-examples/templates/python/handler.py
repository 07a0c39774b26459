#!/usr/bin/python3
import execgate


def handle(request):
    """Raising fails this one event; the process goes on."""
    name = request.parameters.get("name")
    if name:
        return execgate.text(200, f"Hello, {name}!\n")
    return execgate.text(200, "This is @NAME@. Try /hello/you\n")


if __name__ == "__main__":
    execgate.serve(handle)
