package main

import (
	"net/http"
	"strings"
	"testing"

	"execgate.example/execgate"
	"execgate.example/execgate/execgatetest"
)

func send(t *testing.T, s *store, route, target, code, body string) execgatetest.Answer {
	t.Helper()
	method, _, _ := strings.Cut(route, " ")
	event := execgatetest.Event{Route: route, Method: method, Target: target, Body: body, Parameters: map[string]string{"code": code}}
	answer, err := execgatetest.Call(execgate.HandlerFunc((&service{store: s}).handle), event)
	if err != nil {
		t.Fatal(err)
	}
	return *answer
}

func TestALinkIsKnownToEveryProcess(t *testing.T) {
	path := t.TempDir() + "/links.log"
	first, _ := openStore(path)
	second, err := openStore(path)
	if err != nil {
		t.Fatal(err)
	}
	made := send(t, first, "POST /links", "/links", "", `{"url":"https://a.example/?b=c"}`)
	code := strings.TrimPrefix(made.Header.Get("Location"), "/")
	if made.Status != http.StatusCreated || len(code) != 7 {
		t.Fatalf("%+v", made)
	}
	if led := send(t, second, "GET /{code}", "/"+code, code, ""); led.Status != 302 || led.Header.Get("Location") != "https://a.example/?b=c" {
		t.Errorf("%+v", led)
	}
	if shown := send(t, first, "GET /links/{code}", "/links/"+code, code, ""); !strings.Contains(shown.Body, `"hits":1`) {
		t.Errorf("%+v", shown)
	}
}

func TestWhatIsMadeIsCountedOnce(t *testing.T) {
	links, _ := openStore(t.TempDir() + "/links.log")
	hosts, err := openStore(t.TempDir() + "/hosts.log")
	if err != nil {
		t.Fatal(err)
	}
	s := &service{links, hosts}
	made := send(t, links, "POST /links", "/links", "", `{"url":"https://a.example/?b=c"}`)
	if len(made.Posted) != 1 || !made.Posted[0].WithAnswer || made.Posted[0].Queue != "created" {
		t.Fatalf("%+v", made)
	}
	twice := execgatetest.Messages("created", made.Posted[0].Message, made.Posted[0].Message)
	if a, err := execgatetest.Call(s.handlers(), twice); err != nil || a.Body != `{"batchItemFailures":[]}` {
		t.Fatalf("%v %+v", err, a)
	}
	if a, err := execgatetest.Call(s.handlers(), execgatetest.Event{Route: "GET /hosts"}); err != nil || a.Body != "{\"a.example\":1}\n" {
		t.Errorf("%v %+v", err, a)
	}
}

func TestHosts(t *testing.T) {
	for url, host := range map[string]string{"http://a": "a", "https://a.example:8/b": "a.example:8", "http://a?b": "a", "http://a#b/c": "a", "http:///b": "-"} {
		if got := hostOf(url); got != host {
			t.Errorf("%s: %q", url, got)
		}
	}
}

func TestWhatIsNoURL(t *testing.T) {
	for _, body := range []string{``, `{}`, `{"url":"ftp://a"}`, `{"url":"http://"}`, `{"url":"http://a b"}`, `{"url":"http://a","more":"b"}`} {
		if url := wantedURL([]byte(body)); url != "" {
			t.Errorf("%s: %q", body, url)
		}
	}
}
