package main

import (
	"reflect"
	"strings"
	"testing"

	"execgate.example/execgate"
	"execgate.example/execgate/execgatetest"
)

func call(t *testing.T, e execgatetest.Event) *execgatetest.Answer {
	t.Helper()
	a, err := execgatetest.Call(execgate.HandlerFunc(handle), e)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestWhoHasANameMayComeIn(t *testing.T) {
	for _, c := range []struct {
		claims map[string]any
		name   string
	}{
		{map[string]any{"name": "Ada Lovelace", "sub": "1"}, "Ada Lovelace"},
		{map[string]any{"sub": "ada"}, "ada"},
		{map[string]any{"name": "Zoë <b>"}, "Zoë <b>"},
		{map[string]any{"name": 7, "sub": "seven"}, "seven"},
		{map[string]any{"name": strings.Repeat("é", 40)}, strings.Repeat("é", 40)},
		{map[string]any{"name": strings.Repeat("é", 41)}, ""},
		{map[string]any{"name": " "}, ""},
		{map[string]any{"name": "a\nb"}, ""},
		{map[string]any{"name": "a\u202eb"}, ""},
		{nil, ""},
	} {
		e := execgatetest.WebSocket("$connect", "")
		e.Claims = c.claims
		if a := call(t, e); (a.Status == 200) != (c.name != "") || (c.name == "" && a.Status != 403) {
			t.Errorf("%v: %+v", c.claims, a)
		}
		e = execgatetest.Event{Route: "GET /me", Target: "/me", Claims: c.claims}
		if a := call(t, e); c.name != "" && !strings.Contains(a.Body, strings.SplitN(c.name, " ", 2)[0]) {
			t.Errorf("%v: %+v", c.claims, a)
		}
	}
}

func TestRoomsHearWhoLeft(t *testing.T) {
	e := execgatetest.WebSocket("$disconnect", "", "tea", "garden")
	e.Connection, e.Claims = "0123456789abcdef", map[string]any{"name": "Ada"}
	e.Others = []execgate.ConnectionInfo{{ID: "b", Groups: []execgate.Group{"tea"}}, {ID: "c", Groups: []execgate.Group{"lobby"}}}
	want := []execgatetest.Pushed{{Connection: "b", Text: `{"type":"left","room":"tea","seat":"89abcdef","name":"Ada"}`}}
	if a := call(t, e); !reflect.DeepEqual(a.Pushed, want) {
		t.Errorf("%+v", a)
	}
}

func TestThePage(t *testing.T) {
	for target, kind := range map[string]string{"/": "text/html", "/chat.js": "text/javascript", "/chat.css": "text/css"} {
		a := call(t, execgatetest.Event{Target: target})
		if a.Status != 200 || !strings.HasPrefix(a.Header.Get("Content-Type"), kind) || !strings.Contains(a.Header.Get("Content-Security-Policy"), "default-src 'none'") {
			t.Errorf("%s: %+v", target, a)
		}
	}
	if a := call(t, execgatetest.Event{Target: "/../main.go"}); a.Status != 404 {
		t.Errorf("%+v", a)
	}
}
