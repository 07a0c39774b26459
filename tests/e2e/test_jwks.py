"""A real issuer behind a jwt guard: there, gone, slow, moved to other keys, and answering badly."""
import os
import signal
import threading
import time

import pytest
from execgate import EXAMPLES, SLOW, wait_for
from issuer import Issuer, Key, tls_context


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    folder = tmp_path_factory.mktemp("keys")
    return [Key(folder, "one"), Key(folder, "two")]


def blueprint(issuer, more=""):
    return f"""
        blueprint: 1
        name: jwks
        auth:
          default: customer
          guards:
            customer: {{type: jwt, issuer: "{issuer.url}", jwks: discover, algorithms: RS256, refetch: 100ms{more}}}
        handlers:
          echo:
            command: {EXAMPLES}/echo
            processes: {{min: 1}}
            triggers:
              - http: GET /private
              - http: GET /open
                guard: none
        """


def ask(g, token, **kw):
    return g.get("/private", headers={"Authorization": f"Bearer {token}"} if token else {}, **kw)


def wait_keys(g):
    g.wait_log("keys of the issuer fetched", guard="customer")


def unknown_key_refetches(g, issuer, key):
    """A token with an unknown kid is 401 and makes the gateway ask again; the entry that tells how that ended."""
    before = len(g.logs("keys of the issuer"))
    time.sleep(0.11)  # the guard's `refetch`
    answer = ask(g, key.token(issuer.url, kid="unknown"))
    assert answer.status == 401 and 'error="invalid_token"' in answer["WWW-Authenticate"]
    return before


def test_keys_are_discovered_and_fetched_once(gateway, keys):
    with Issuer(keys[0]) as issuer, gateway(blueprint(issuer)) as g:
        wait_keys(g)  # before any request has come
        assert ask(g, keys[0].token(issuer.url)).status == 200
        assert ask(g, keys[0].token(issuer.url, sub="bob")).status == 200
        forged = keys[1].token(issuer.url, kid="one")
        assert ask(g, forged).status == 401
        assert ask(g, keys[0].token(issuer.url + "/")).status == 401
        assert ask(g, None).status == 401
        assert issuer.hits == {"/.well-known/openid-configuration": 1, "/keys": 1}


def test_a_gateway_starts_without_its_issuer_and_finds_it_later(gateway, keys):
    with Issuer(keys[0]) as issuer:
        issuer.stop()
        with gateway(blueprint(issuer)) as g:
            assert g.get("/open").status == 200
            g.wait_log("keys of the issuer not fetched")
            answer = ask(g, keys[0].token(issuer.url))
            assert answer.status == 503 and answer["Content-Type"] == "application/problem+json"
            assert ask(g, None).status == 401
            issuer.start()
            wait_for(lambda: ask(g, keys[0].token(issuer.url)).status == 200, 20, "the issuer's return")


def test_an_outage_changes_nothing_for_known_keys(gateway, keys):
    with Issuer(keys[0]) as issuer, gateway(blueprint(issuer)) as g:
        wait_keys(g)
        issuer.stop()
        unknown_key_refetches(g, issuer, keys[1])
        entry = g.wait_log("keys of the issuer not fetched", keys="the old ones stay")
        assert issuer.url in entry["reason"]
        assert ask(g, keys[0].token(issuer.url)).status == 200
        issuer.keys = [keys[1]]
        issuer.start()
        wait_for(lambda: ask(g, keys[1].token(issuer.url)).status == 200, 20, "the new key")


def test_a_reload_keeps_the_keys_of_an_issuer_that_is_down(gateway, keys):
    with Issuer(keys[0]) as issuer, gateway(blueprint(issuer)) as g:
        wait_keys(g)
        issuer.stop()
        g.process.send_signal(signal.SIGHUP)
        g.wait_log("reloaded")
        assert ask(g, keys[0].token(issuer.url)).status == 200
        g.wait_log("keys of the issuer not fetched", keys="the old ones stay")
        # Another issuer's keys are none of them.
        g.file.write_text(g.file.read_text().replace(issuer.url, issuer.url + "/other"))
        g.process.send_signal(signal.SIGHUP)
        wait_for(lambda: len(g.logs("reloaded")) == 2, what="the second reload")
        assert ask(g, keys[0].token(issuer.url)).status in (401, 503)


def test_rotation(gateway, keys):
    with Issuer(keys[0]) as issuer, gateway(blueprint(issuer)) as g:
        wait_keys(g)
        old, new = keys[0].token(issuer.url), keys[1].token(issuer.url)
        assert ask(g, old).status == 200
        time.sleep(0.11)  # the guard's `refetch`
        issuer.keys = [keys[0], keys[1]]
        assert ask(g, new).status == 200  # at once: it waited for the fetch
        assert ask(g, old).status == 200
        issuer.keys = [keys[1]]
        unknown_key_refetches(g, issuer, keys[1])
        wait_for(lambda: ask(g, old).status == 401, 5, "the end of the withdrawn key, cached tokens included")
        assert ask(g, new).status == 200


def in_parallel(count, work):
    results = [None] * count

    def run(i):
        results[i] = work(i)

    threads = [threading.Thread(target=run, args=(i,)) for i in range(count)]
    for t in threads:
        t.start()
    return threads, results


def test_many_wait_for_one_fetch(gateway, keys):
    with Issuer(keys[0]) as issuer:
        issuer.gate.clear()
        with gateway(blueprint(issuer, ", fetchTimeout: 20s")) as g:
            token = keys[0].token(issuer.url)
            threads, results = in_parallel(30, lambda i: ask(g, token).status)
            wait_for(lambda: issuer.count("/keys") == 1, 10, "the first fetch")
            assert g.get("/open").status == 200  # nothing else is held up
            issuer.gate.set()
            for t in threads:
                t.join(30)
            assert results == [200] * 30
            assert issuer.count("/keys") == 1


def test_a_storm_of_unknown_keys_is_one_fetch(gateway, keys):
    with Issuer(keys[0]) as issuer, gateway(blueprint(issuer).replace("refetch: 100ms", "refetch: 1m")) as g:
        wait_keys(g)
        token = keys[1].token(issuer.url)
        threads, results = in_parallel(30, lambda i: ask(g, token).status)
        for t in threads:
            t.join(30)
        assert results == [401] * 30
        assert issuer.count("/keys") == 1  # the one at the start was less than a minute ago


def test_a_slow_issuer_costs_a_bounded_time(gateway, keys):
    with Issuer(keys[0]) as issuer:
        issuer.gate.clear()
        with gateway(blueprint(issuer, ", fetchTimeout: 300ms")) as g:
            began = time.monotonic()
            assert ask(g, keys[0].token(issuer.url)).status == 503
            assert time.monotonic() - began < 5 * SLOW
            g.wait_log("keys of the issuer not fetched", keys="none")
            issuer.gate.set()
            wait_for(lambda: ask(g, keys[0].token(issuer.url)).status == 200, 20, "the keys")
            issuer.gate.clear()
            unknown_key_refetches(g, issuer, keys[1])
            assert ask(g, keys[0].token(issuer.url)).status == 200


def test_a_client_that_leaves_while_keys_are_fetched(gateway, keys):
    with Issuer(keys[0]) as issuer:
        issuer.gate.clear()
        with gateway(blueprint(issuer, ", fetchTimeout: 20s")) as g:
            wait_for(lambda: issuer.count("/keys") == 1, 10, "the first fetch")
            s = g.connect()
            s.sendall(f"GET /private HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {keys[0].token(issuer.url)}\r\n\r\n".encode())
            s.close()
            g.wait_log("request", status=499)
            issuer.gate.set()
            assert ask(g, keys[0].token(issuer.url)).status == 200


BAD = {
    "redirecting": "redirects are not followed",
    "oversized": "too large",
    "endless": "too large",
    "too_many": "more than 128 keys",
    "failing": "status 500",
    "missing": "status 404",
    "page": "cannot be read",
    "empty": "can verify tokens",
    "cut": "",
}


@pytest.mark.parametrize("answer", BAD)
def test_bad_answers_open_nothing_and_replace_nothing(gateway, keys, answer):
    with Issuer(keys[0]) as issuer:
        issuer.answer = getattr(issuer, answer)
        with gateway(blueprint(issuer)) as g:
            assert BAD[answer] in g.wait_log("keys of the issuer not fetched", keys="none")["reason"]
            assert ask(g, keys[0].token(issuer.url)).status == 503
            issuer.answer = issuer.good
            wait_for(lambda: ask(g, keys[0].token(issuer.url)).status == 200, 20, "good keys")
            issuer.answer = getattr(issuer, answer)
            unknown_key_refetches(g, issuer, keys[1])
            assert BAD[answer] in g.wait_log("keys of the issuer not fetched", keys="the old ones stay")["reason"]
            assert ask(g, keys[0].token(issuer.url)).status == 200
            assert issuer.count("/elsewhere") == 0


def test_metadata_of_another_issuer_is_not_believed(gateway, keys):
    with Issuer(keys[0]) as issuer:
        issuer.metadata = {"issuer": "https://id.example", "jwks_uri": issuer.url + "/keys"}
        with gateway(blueprint(issuer)) as g:
            assert "of another issuer" in g.wait_log("keys of the issuer not fetched")["reason"]
            assert ask(g, keys[0].token(issuer.url)).status == 503
            assert issuer.count("/keys") == 0
            assert issuer.count("/.well-known/oauth-authorization-server") >= 1


def test_https_is_verified(gateway, keys, tmp_path):
    context, certificate = tls_context(tmp_path)
    with Issuer(keys[0], tls=context) as issuer:
        with gateway(blueprint(issuer)) as g:
            assert "certificate" in g.wait_log("keys of the issuer not fetched")["reason"]
            assert ask(g, keys[0].token(issuer.url)).status == 503
        with gateway(blueprint(issuer), env={**os.environ, "SSL_CERT_FILE": str(certificate)}) as g:
            wait_keys(g)
            assert ask(g, keys[0].token(issuer.url)).status == 200


def test_a_gateway_ends_in_the_middle_of_a_fetch(gateway, keys):
    with Issuer(keys[0]) as issuer:
        issuer.gate.clear()
        with gateway(blueprint(issuer, ", fetchTimeout: 60s")) as g:
            wait_for(lambda: issuer.count("/keys") == 1, 10, "the first fetch")
            assert g.stop() == 0
