"""docs/lambda-clients.md says which versions were tested."""
import pytest
from clients import CLIENTS, HERE

DOCUMENT = (HERE.parents[1] / "docs/lambda-clients.md").read_text()


@pytest.mark.parametrize("name, version", [(c.name, c.version) for c in CLIENTS])
def test_version_is_documented(name, version):
    assert any(line.startswith(f"| {name} |") and f"| {version} |" in line for line in DOCUMENT.splitlines()), f"no row with {name} {version}"
