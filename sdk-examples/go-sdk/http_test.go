package execgate_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"execgate.example/execgate"
	"execgate.example/execgate/execgatetest"
)

func TestANetHTTPHandlerPlugsIn(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("/echo", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		event, _ := execgate.FromContext(r.Context())
		claims, _ := event.Claims()
		http.SetCookie(w, &http.Cookie{Name: "a", Value: "b"})
		http.SetCookie(w, &http.Cookie{Name: "c", Value: "d"})
		w.WriteHeader(http.StatusCreated)
		w.Header().Set("X-Late", "not sent")
		fmt.Fprintf(w, "%s %s %s %s %s %v", r.Method, r.URL.Query().Get("x"), r.Host, r.RemoteAddr, body, claims["sub"])
	})
	mux.HandleFunc("/json", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Write([]byte("{}"))
	})
	mux.HandleFunc("/guess", func(w http.ResponseWriter, r *http.Request) { w.Write([]byte("<html>")) })
	mux.HandleFunc("/empty", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusNoContent) })
	mux.HandleFunc("/abort", func(w http.ResponseWriter, r *http.Request) { panic(http.ErrAbortHandler) })
	mux.HandleFunc("/large", func(w http.ResponseWriter, r *http.Request) {
		for i := 0; i < 1000; i++ {
			fmt.Fprint(w, strings.Repeat("x", 1000))
		}
	})
	mux.HandleFunc("/flush", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "one ")
		w.(http.Flusher).Flush()
		fmt.Fprint(w, "two")
		if r.URL.RawQuery == "panic" {
			panic("three")
		}
	})
	g := execgatetest.Start(t, execgate.HTTP(mux), 2)

	a := g.Call(event{Target: "/echo?x=1", Body: "hello", Claims: map[string]any{"sub": "alice"}, Header: http.Header{"Host": {"shop.example"}}})
	if a.Status != 201 || a.Body != "POST 1 shop.example 127.0.0.1:0 hello alice" || len(a.Header["Set-Cookie"]) != 2 || a.Header.Get("X-Late") != "" {
		t.Errorf("%+v", a)
	}
	if a := g.Call(event{Target: "/json"}); a.Header.Get("Content-Type") != "application/json" || a.Body != "{}" {
		t.Errorf("%+v", a)
	}
	if a := g.Call(event{Target: "/guess"}); a.Header.Get("Content-Type") != "text/html; charset=utf-8" {
		t.Errorf("%+v", a)
	}
	if a := g.Call(event{Target: "/empty"}); a.Status != 204 || a.Body != "" || a.Header.Get("Content-Type") != "" {
		t.Errorf("%+v", a)
	}
	if a := g.Call(event{Target: "/none"}); a.Status != 404 {
		t.Errorf("%+v", a)
	}
	if a := g.Call(event{Target: "/abort"}); a.Failure != "Aborted" {
		t.Errorf("%+v", a)
	}
	if a := g.Call(event{Target: "/large"}); len(a.Body) != 1_000_000 || a.Header.Get("Content-Type") != "text/plain; charset=utf-8" {
		t.Errorf("%d %d %v", a.Status, len(a.Body), a.Header)
	}
	if a := g.Call(event{Target: "/flush"}); a.Body != "one two" || a.Failure != "" {
		t.Errorf("%+v", a)
	}
	if a := g.Call(event{Target: "/flush?panic"}); a.Body != "one two" || a.Failure == "" {
		t.Errorf("%+v", a)
	}
}

func TestTheSameAsWithNetHTTP(t *testing.T) {
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/there?x=1", http.StatusSeeOther) })
	recorder := httptest.NewRecorder()
	h(recorder, httptest.NewRequest("GET", "/here", nil))
	a, err := execgatetest.Call(execgate.HTTP(h), event{Target: "/here"})
	if err != nil || a.Status != recorder.Code || a.Body != recorder.Body.String() || fmt.Sprint(a.Header) != fmt.Sprint(recorder.Header()) {
		t.Errorf("%+v %v\n%+v", a, err, recorder)
	}
}
