"""Files that guards read (keys, users) are read again when they change; a broken one leaves the old in force."""
import base64
import json
import os
import warnings

from execgate import EXAMPLES, Gateway, wait_for
from issuer import Key, openssl

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    import crypt

LOADED, BROKEN = "a guard's file loaded anew", "a guard's changed file cannot be used, the old one goes on"

BLUEPRINT = f"""
blueprint: 1
name: shop
auth:
  guards:
    customer: {{type: jwt, issuer: me, jwks: "file:keys.json", algorithms: RS256}}
    pem: {{type: jwt, issuer: me, jwks: "file:key.pem"}}
    staff: {{type: basic, users: "file:staff.htpasswd"}}
handlers:
  echo:
    command: {EXAMPLES}/echo
    triggers:
      - {{http: GET /customer, guard: customer}}
      - {{http: GET /pem, guard: pem}}
      - {{http: GET /staff, guard: staff}}
"""


def line(name, password):
    return f"{name}:{crypt.crypt(password, crypt.mksalt(crypt.METHOD_BLOWFISH, rounds=16))}\n"


def key_set(*keys):
    return json.dumps({"keys": [k.jwk for k in keys]})


def public_pem(key):
    return openssl("pkey", "-in", key.file, "-pubout").decode()


def replace(folder, name, text):
    """As careful people do it: a new file in the old one's place."""
    (folder / (name + ".new")).write_text(text)
    os.replace(folder / (name + ".new"), folder / name)


def bearer(key):
    return {"Authorization": "Bearer " + key.token("me")}


def basic(name, password):
    return {"Authorization": "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()}


def status(g, path, headers):
    return g.get(path, headers=headers).status


def wait_status(g, path, headers, wanted):
    wait_for(lambda: status(g, path, headers) == wanted, seconds=30, what=f"{wanted} at {path}")


def wait_broken(g, guard, why, count=1):
    wait_for(lambda: len(g.logs(BROKEN, guard=guard)) == count, seconds=30, what="the refusal of the file")
    assert why in g.logs(BROKEN, guard=guard)[-1]["error"]


def test_key_sets_follow_their_file(tmp_path):
    old, new = Key(tmp_path, "old"), Key(tmp_path, "new")
    files = {"keys.json": key_set(old), "key.pem": public_pem(old), "staff.htpasswd": line("alice", "one")}
    with Gateway(tmp_path, BLUEPRINT, files) as g:
        assert [status(g, "/customer", bearer(k)) for k in (old, new)] == [200, 401]
        replace(tmp_path, "keys.json", key_set(old, new))
        wait_status(g, "/customer", bearer(new), 200)
        token = bearer(old)
        assert status(g, "/customer", token) == 200  # remembered from now on
        replace(tmp_path, "keys.json", key_set(new))
        wait_status(g, "/customer", token, 401)
        assert status(g, "/customer", bearer(new)) == 200
        assert [r["guard"] for r in g.logs(LOADED)] == ["customer", "customer"]
        assert g.logs(LOADED)[0]["file"] == str(tmp_path / "keys.json")


def test_one_pem_key_is_replaced(tmp_path):
    old, new = Key(tmp_path, "old"), Key(tmp_path, "new")
    files = {"keys.json": key_set(old), "key.pem": public_pem(old), "staff.htpasswd": line("alice", "one")}
    with Gateway(tmp_path, BLUEPRINT, files) as g:
        assert status(g, "/pem", bearer(old)) == 200
        (tmp_path / "key.pem").write_text(public_pem(new))  # in place
        wait_status(g, "/pem", bearer(new), 200)
        assert status(g, "/pem", bearer(old)) == 401


def test_broken_keys_leave_the_old_in_force(tmp_path):
    key = Key(tmp_path, "signer")
    ec = tmp_path / "ec.pem"
    openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", ec)
    files = {"keys.json": key_set(key), "key.pem": public_pem(key), "staff.htpasswd": line("alice", "one")}
    with Gateway(tmp_path, BLUEPRINT, files) as g:
        replace(tmp_path, "keys.json", key_set(key)[:-9])
        wait_broken(g, "customer", "JSON", 1)
        replace(tmp_path, "keys.json", openssl("ec", "-in", ec, "-pubout").decode())
        wait_broken(g, "customer", "made for the guard's algorithms", 2)
        replace(tmp_path, "keys.json", ec.read_text())
        wait_broken(g, "customer", "private key", 3)
        (tmp_path / "keys.json").unlink()
        wait_broken(g, "customer", "No such file", 4)
        assert status(g, "/customer", bearer(key)) == 200
        assert not g.logs(LOADED)
        replace(tmp_path, "keys.json", key_set(key))
        wait_for(lambda: g.logs(LOADED, guard="customer"), seconds=30, what="the good file")


def test_users_follow_their_file(tmp_path):
    key = Key(tmp_path, "signer")
    files = {"keys.json": key_set(key), "key.pem": public_pem(key), "staff.htpasswd": line("alice", "one")}
    with Gateway(tmp_path, BLUEPRINT, files) as g:
        assert status(g, "/staff", basic("alice", "one")) == 200
        replace(tmp_path, "staff.htpasswd", line("alice", "two") + line("bob", "three"))
        wait_status(g, "/staff", basic("bob", "three"), 200)
        # Whom the gateway remembered is asked again.
        assert [status(g, "/staff", basic("alice", p)) for p in ("one", "two")] == [401, 200]
        replace(tmp_path, "staff.htpasswd", line("alice", "two") + "bob:three\n")
        wait_broken(g, "staff", f"line 2 of {tmp_path}/staff.htpasswd: the hash is not bcrypt")
        assert status(g, "/staff", basic("bob", "three")) == 200
        replace(tmp_path, "staff.htpasswd", line("alice", "two"))
        wait_status(g, "/staff", basic("bob", "three"), 401)
        assert len(g.logs(LOADED, guard="staff")) == 2
