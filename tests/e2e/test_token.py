"""`execgate token`, and `execgate run --dev-issuer`, which alone believes its development tokens."""
import base64
import json
import os
import pathlib
import stat
import urllib.request

import pytest
from execgate import run_cli, wait_for
from issuer import Issuer, Key

SECRET = "0123456789abcdef0123456789abcdef"
CLAIMS = """
    #!/bin/sh
    printf 'Content-Type: application/json\\n\\n{"user":"%s","tenant":"%s"}' "$REMOTE_USER" "$EXECGATE_CLAIM_TENANT"
    """
BLUEPRINT = """
    blueprint: 1
    name: token
    auth:
      guards:
        customer: {type: jwt, issuer: "https://id.example.invalid", audience: [shop, other], jwks: discover, require: {scope: shop}}
        direct: {type: jwt, issuer: "https://id.example.invalid", jwks: "https://id.example.invalid/keys", algorithms: RS256, leeway: 0s}
        shared: {type: jwt, issuer: me, secret: "${env.SHARED}"}
        exotic: {type: jwt, jwks: "https://id.example.invalid/keys", algorithms: [PS256, EdDSA]}
        filed: {type: jwt, jwks: "file:keys.json"}
        partner: {type: apiKey, keys: {acme: "${env.SHARED}"}}
    handlers:
      claims:
        command: ./claims
        mode: once
        triggers:
          - {http: GET /customer, guard: customer}
          - {http: GET /direct, guard: direct}
          - {http: GET /shared, guard: shared}
          - {http: GET /filed, guard: filed}
    """


@pytest.fixture
def env(tmp_path):
    return {**os.environ, "SHARED": SECRET, "XDG_STATE_HOME": str(tmp_path / "state")}


@pytest.fixture
def token(tmp_path, env):
    def run(*words):
        return run_cli("token", "--blueprint", tmp_path / "blueprint.yaml", *words, env=env)

    return run


@pytest.fixture(scope="module")
def key(tmp_path_factory):
    return Key(tmp_path_factory.mktemp("key"), "real")


@pytest.fixture
def serve(gateway, env, key):
    return lambda *args, blueprint=BLUEPRINT: gateway(
        blueprint, files={"claims": CLAIMS, "keys.json": json.dumps({"keys": [key.jwk]})}, args=args, env=env)


def ask(g, path, token):
    return g.get(path, headers={"Authorization": f"Bearer {token.strip()}"})


def parts(token):
    return [json.loads(base64.urlsafe_b64decode(p + "==")) for p in token.strip().split(".")[:2]]


def test_a_blueprint_with_guards_works_offline(serve, token):
    with serve("--dev-issuer") as g:
        g.wait_log("development issuer", level="warn")
        made = token("--guard", "customer", "--sub", "alice", "--claim", "tenant=acme", "--scope", "shop b", "--claim", "roles=json:[1,null]")
        assert made.returncode == 0 and made.stderr == "" and made.stdout.count("\n") == 1
        header, claims = parts(made.stdout)
        assert header["alg"] == "ES256"
        assert claims["iss"] == "https://id.example.invalid" and claims["aud"] == "shop" and claims["roles"] == [1, None]
        assert claims["exp"] - claims["iat"] == 600
        answer = ask(g, "/customer", made.stdout)
        assert answer.status == 200 and answer.json() == {"user": "alice", "tenant": "acme"}
        assert ask(g, "/customer", token("-g", "customer").stdout).status == 403  # no scope
        assert ask(g, "/customer", token("-g", "customer", "--scope", "shop", "--audience", "x").stdout).status == 403
        assert ask(g, "/customer", token("-g", "customer", "--scope", "shop", "--audience", "x", "--audience", "other").stdout).status == 200
        assert ask(g, "/customer", token("-g", "customer", "--scope", "shop", "--issuer", "x").stdout).status == 401
        rsa = token("-g", "direct", "-s", "bob").stdout
        assert parts(rsa)[0]["alg"] == "RS256"
        assert ask(g, "/direct", rsa).json()["user"] == "bob"


def test_a_token_ends(serve, token):
    with serve("--dev-issuer") as g:
        made = token("-g", "direct", "-s", "bob", "--ttl", "2s").stdout
        assert ask(g, "/direct", made).status == 200
        wait_for(lambda: ask(g, "/direct", made).status == 401, 10, "the token's end")


def test_without_the_flag_nobody_believes_it(gateway, token, env, key):
    with Issuer(key) as issuer:
        blueprint = BLUEPRINT.replace("https://id.example.invalid", issuer.url)
        files = {"claims": CLAIMS, "keys.json": json.dumps({"keys": [key.jwk]})}
        with gateway(blueprint, files=files, env=env) as g:
            assert "devIssuer" not in g.ready
            g.wait_log("keys of the issuer fetched", guard="customer")
            g.wait_log("keys of the issuer fetched", guard="direct")
            made = token("-g", "direct", "-s", "alice").stdout
            assert ask(g, "/direct", key.token(issuer.url)).status == 200
            assert ask(g, "/direct", made).status == 401
            assert ask(g, "/filed", made).status == 401
            assert ask(g, "/customer", token("-g", "customer", "--scope", "shop").stdout).status == 401
            assert not g.logs("development issuer")
        with gateway(blueprint, files=files, env=env, args=["--dev-issuer"]) as g:
            g.wait_log("keys of the issuer fetched", guard="direct")
            hits = dict(issuer.hits)
            assert ask(g, "/direct", made).status == 200
            assert ask(g, "/direct", key.token(issuer.url)).status == 401  # the real issuer is replaced, not joined
            assert ask(g, "/filed", made).status == 401  # a file stays what it is
            assert ask(g, "/filed", key.token("anyone")).status == 200
            assert issuer.hits == hits


def test_no_blueprint_and_no_variable_turns_it_on(tmp_path, env):
    for line in ("devIssuer: true", "auth: {devIssuer: true}"):
        (tmp_path / "blueprint.yaml").write_text(f"blueprint: 1\nname: x\n{line}\nhandlers:\n  a: {{command: /bin/true, triggers: [{{http: GET /}}]}}\n")
        done = run_cli("check", tmp_path / "blueprint.yaml", env=env)
        assert done.returncode == 1 and "devIssuer" in done.stderr


def test_the_issuer_serves_discovery_and_public_keys(serve):
    with serve("--dev-issuer") as g:
        url = g.ready["devIssuer"]
        assert url.startswith("http://127.0.0.1:")
        for path in ("openid-configuration", "oauth-authorization-server"):
            with urllib.request.urlopen(f"{url}/.well-known/{path}") as r:
                assert r.headers["Content-Type"] == "application/json"
                metadata = json.load(r)
            assert metadata["issuer"] == url
        with urllib.request.urlopen(metadata["jwks_uri"]) as r:
            keys = json.load(r)["keys"]
        assert [sorted(k) for k in keys] == [["crv", "kid", "kty", "use", "x", "y"], ["e", "kid", "kty", "n", "use"]]
        for path, method, status in (("/", "GET", 404), ("/jwks.json", "POST", 405), ("/jwks.json?x", "GET", 404)):
            with pytest.raises(urllib.error.HTTPError) as error:
                urllib.request.urlopen(urllib.request.Request(url + path, method=method))
            assert error.value.code == status


def test_a_guard_with_a_secret_needs_no_flag(serve, token):
    with serve() as g:
        made = token("-g", "shared", "-s", "alice", "--json")
        out = json.loads(made.stdout)
        assert out["development"] is False and out["claims"]["iss"] == "me" and out["guard"] == "shared"
        assert ask(g, "/shared", out["token"]).json()["user"] == "alice"


def test_the_key_is_made_once_and_kept_private(serve, token, tmp_path):
    with serve("--dev-issuer"):
        pass
    file = tmp_path / "state/execgate/dev-issuer.pem"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    kids = {parts(token("-g", "direct").stdout)[0]["kid"] for _ in range(2)}
    assert len(kids) == 1
    file.chmod(0o644)
    refused = token("-g", "direct")
    assert refused.returncode == 3 and "others may read" in refused.stderr and refused.stdout == ""


@pytest.mark.parametrize("words,status,text", [
    (["-g", "custmer"], 2, 'did you mean "customer"?'),
    ([], 2, "several jwt guards"),
    (["-g", "partner"], 2, "is no jwt guard"),
    (["-g", "filed"], 2, "only their owner can sign"),
    (["-g", "exotic"], 2, "the development key signs nothing else"),
    (["-g", "shared", "--claim", "tenant"], 2, "NAME=VALUE"),
    (["-g", "shared", "--claim", "=x"], 2, "NAME=VALUE"),
    (["-g", "shared", "--claim", "sub=x"], 2, "set by --sub"),
    (["-g", "shared", "--claim", "exp=x"], 2, "set by --ttl"),
    (["-g", "shared", "--claim", "a=json:{"], 2, "is no JSON"),
    (["-g", "shared", "--claim", "a=1", "--claim", "a=2"], 2, "given twice"),
    (["-g", "shared", "--ttl", "10"], 2, "--ttl takes a duration"),
    (["-g", "shared", "--ttl", "0s"], 2, "--ttl takes a duration"),
    (["-g", "shared", "--subject", "x"], 2, "unknown option"),
])
def test_what_is_wrong_is_told(serve, token, words, status, text):
    serve()  # writes the blueprint
    done = token(*words)
    assert done.returncode == status and text in done.stderr and done.stdout == ""


def test_a_blueprint_without_guards(tmp_path, env):
    file = pathlib.Path(tmp_path / "b.yaml")
    file.write_text("blueprint: 1\nname: x\nhandlers:\n  a: {command: /bin/true, triggers: [{http: GET /}]}\n")
    done = run_cli("token", file, env=env)
    assert done.returncode == 2 and "no guards" in done.stderr
    assert not (tmp_path / "state").exists()
