package execgate_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"execgate.example/execgate"
	"execgate.example/execgate/execgatetest"
)

type (
	request  = execgate.Request
	response = execgate.Response
	event    = execgatetest.Event
)

func handler(f func(context.Context, *request) (*response, error)) execgate.Handler {
	return execgate.HandlerFunc(f)
}

func echo(_ context.Context, r *request) (*response, error) {
	return &response{Header: http.Header{"X-Method": {r.Method}, "X-Two": {"a", "b"}}, Body: r.Body}, nil
}

func TestAnEventComesAndAnAnswerGoes(t *testing.T) {
	g := execgatetest.Start(t, handler(echo), 1)
	for _, body := range []string{"", "x", strings.Repeat("long ", 100_000)} {
		a := g.Call(event{Body: body, Method: "PUT"})
		if a.Status != 200 || a.Body != body || a.Header.Get("X-Method") != "PUT" || len(a.Header["X-Two"]) != 2 {
			t.Fatalf("%d %v, a body of %d bytes", a.Status, a.Header, len(a.Body))
		}
	}
}

func TestEverythingOfARequest(t *testing.T) {
	requests := make(chan *request, 1)
	g := execgatetest.Start(t, handler(func(ctx context.Context, r *request) (*response, error) {
		requests <- r
		if from, ok := execgate.FromContext(ctx); !ok || from != r {
			t.Error("the context does not know its event")
		}
		if at, ok := ctx.Deadline(); !ok || time.Until(at) > time.Hour {
			t.Errorf("deadline %v %v", at, ok)
		}
		return nil, nil
	}), 1)
	a := g.Call(event{Method: "POST", Target: "/a%20b/7?x=1&y=%C3%A9", Route: "POST /a%20b/{id}", Body: `{"n":1}`, Timeout: time.Hour,
		Parameters: map[string]string{"id": "a/b c"}, Claims: map[string]any{"sub": "alice"},
		Header: http.Header{"Content-Type": {"application/json"}, "Accept": {"a", "b"}}})
	if a.Status != 200 || a.Body != "" {
		t.Fatalf("%+v", a)
	}
	seen := <-requests
	claims, err := seen.Claims()
	var body struct{ N int }
	if err != nil || claims["sub"] != "alice" || seen.JSON(&body) != nil || body.N != 1 {
		t.Errorf("claims %v %v, body %v", claims, err, body)
	}
	got := fmt.Sprint(seen.Trigger, seen.Route, seen.Method, seen.Target, seen.Path, seen.Query()["y"], seen.Parameter("id"), seen.Parameter("none"),
		seen.Header("content-TYPE"), seen.Headers()["Accept"], seen.ClientAddress, seen.Host)
	want := fmt.Sprint("http", "POST /a%20b/{id}", "POST", "/a%20b/7?x=1&y=%C3%A9", "/a b/7", []string{"é"}, "a/b c", "", "application/json", []string{"a", "b"}, "127.0.0.1", "localhost")
	if got != want || seen.RequestID != seen.ID || seen.ID == "" {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestFailures(t *testing.T) {
	g := execgatetest.Start(t, handler(func(_ context.Context, r *request) (*response, error) {
		switch r.Path {
		case "/error":
			return nil, errors.New("out of stock")
		case "/typed":
			return nil, fmt.Errorf("wrapped: %w", &execgate.Error{Type: "OutOfStock", Message: "none left"})
		case "/panic":
			var m map[string]int
			m["x"] = 1
		case "/status":
			return &response{Status: 99}, nil
		case "/field":
			return &response{Header: http.Header{"X-Bad": {"a\r\nEvil: yes"}}}, nil
		case "/ours":
			return &response{Header: http.Header{"Content-Length": {"99"}, "Execgate-Error": {"x"}, "Transfer-Encoding": {"chunked"}}, Body: []byte("ok")}, nil
		}
		return execgate.Text(200, "fine"), nil
	}), 4)
	for path, failure := range map[string]string{"/error": "Error", "/typed": "OutOfStock", "/panic": "Panic", "/status": "InvalidAnswer", "/field": "InvalidAnswer", "/fine": "", "/ours": ""} {
		if a := g.Call(event{Target: path}); a.Failure != failure {
			t.Errorf("%s: %+v", path, a)
		}
	}
	if a := g.Call(event{Target: "/panic"}); !strings.Contains(a.Stack, "serve_test.go") || !strings.Contains(a.Body, "nil map") {
		t.Errorf("%+v", a)
	}
	if a := g.Call(event{Target: "/ours"}); a.Body != "ok" {
		t.Errorf("%+v", a)
	}
}

func TestEventsAtOnceAndNoAnswerWaitsForAnEvent(t *testing.T) {
	var running, most atomic.Int32
	release := make(chan struct{})
	g := execgatetest.Start(t, handler(func(_ context.Context, r *request) (*response, error) {
		if n := running.Add(1); n > most.Load() {
			most.Store(n)
		}
		defer running.Add(-1)
		if r.Path == "/slow" {
			<-release
		}
		return execgate.Text(200, r.Path), nil
	}), 4)
	var slow []execgatetest.Sent
	for i := 0; i < 3; i++ {
		slow = append(slow, g.Send(event{Target: "/slow"}))
	}
	for i := 0; i < 50; i++ { // past the slow ones, through the one place that is left
		if a := g.Call(event{Target: "/quick"}); a.Body != "/quick" {
			t.Fatalf("%+v", a)
		}
	}
	close(release)
	for _, s := range slow {
		if a := <-s.Answer; a.Body != "/slow" {
			t.Fatalf("%+v", a)
		}
	}
	if most.Load() != 4 {
		t.Errorf("at most %d at once", most.Load())
	}
}

func TestManyEventsAreAnsweredOnceEach(t *testing.T) {
	g := execgatetest.Start(t, handler(echo), 16)
	const callers, each = 16, 200
	var group sync.WaitGroup
	for i := 0; i < callers; i++ {
		group.Add(1)
		go func(i int) {
			defer group.Done()
			for j := 0; j < each; j++ {
				body := fmt.Sprint(i, " ", j)
				if a := g.Call(event{Body: body}); a.Body != body {
					t.Errorf("%q became %q", body, a.Body)
				}
			}
		}(i)
	}
	group.Wait()
	if n := g.Exchanges(); n > 2*callers*each+2 {
		t.Errorf("%d exchanges for %d events", n, callers*each)
	}
}

func TestCancellationAndDeadlineEndTheContext(t *testing.T) {
	for _, concurrency := range []int{1, 4} {
		started := make(chan struct{}, 1)
		g := execgatetest.Start(t, handler(func(ctx context.Context, r *request) (*response, error) {
			started <- struct{}{}
			<-ctx.Done()
			return execgate.Text(200, ctx.Err().Error()), nil
		}), concurrency)
		sent := g.Send(event{})
		<-started
		g.Cancel(sent.ID)
		if a := <-sent.Answer; a.Body != context.Canceled.Error() {
			t.Errorf("%+v", a)
		}
		if a := g.Call(event{Timeout: 20 * time.Millisecond}); a.Body != context.DeadlineExceeded.Error() {
			t.Errorf("%+v", a)
		}
	}
}

func TestTheContextEndsWithTheHandler(t *testing.T) {
	contexts := make(chan context.Context, 1)
	g := execgatetest.Start(t, handler(func(ctx context.Context, _ *request) (*response, error) {
		contexts <- ctx
		return nil, ctx.Err()
	}), 1)
	g.Call(event{Timeout: time.Hour})
	select {
	case <-(<-contexts).Done():
	case <-time.After(30 * time.Second):
		t.Fatal("the context lives on")
	}
}

func TestDrainAndTerminateLoseNothing(t *testing.T) {
	for name, end := range map[string]func(*execgatetest.Gateway){"drain": (*execgatetest.Gateway).Drain, "terminate": (*execgatetest.Gateway).Terminate} {
		for _, concurrency := range []int{1, 8} {
			started, release := make(chan struct{}, 8), make(chan struct{})
			g := execgatetest.Start(t, handler(func(context.Context, *request) (*response, error) {
				started <- struct{}{}
				<-release
				return execgate.Text(200, "done"), nil
			}), concurrency)
			var sent []execgatetest.Sent
			for i := 0; i < concurrency; i++ {
				sent = append(sent, g.Send(event{}))
				<-started
			}
			end(g)
			close(release)
			for _, s := range sent {
				select {
				case a := <-s.Answer:
					if a.Body != "done" {
						t.Errorf("%s: %+v", name, a)
					}
				case <-time.After(30 * time.Second):
					t.Fatalf("%s with %d at once: an answer was lost", name, concurrency)
				}
			}
			if err := g.Wait(); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

func TestStreams(t *testing.T) {
	g := execgatetest.Start(t, handler(func(_ context.Context, r *request) (*response, error) {
		return &response{Status: 201, Header: http.Header{"X-A": {"b"}}, Body: []byte("begin "), Stream: func(w io.Writer) error {
			fmt.Fprint(w, "middle ")
			fmt.Fprint(w, "")
			switch r.Path {
			case "/error":
				return &execgate.Error{Type: "TornApart", Message: "no more"}
			case "/panic":
				panic("no more")
			}
			fmt.Fprint(w, "end")
			return nil
		}}, nil
	}), 2)
	if a := g.Call(event{}); a.Status != 201 || a.Body != "begin middle end" || a.Header.Get("X-A") != "b" || a.Failure != "" {
		t.Errorf("%+v", a)
	}
	if a := g.Call(event{Target: "/error"}); a.Failure != "TornApart" || a.Body != "begin middle " {
		t.Errorf("%+v", a)
	}
	if a := g.Call(event{Target: "/panic"}); a.Failure == "" {
		t.Errorf("%+v", a)
	}
}

func TestTriggers(t *testing.T) {
	h := execgate.Triggers{
		execgate.TriggerHTTP:   handler(echo),
		execgate.TriggerInvoke: handler(func(_ context.Context, r *request) (*response, error) { return execgate.JSON(200, len(r.Body)) }),
	}
	g := execgatetest.Start(t, h, 1)
	if a := g.Call(event{Trigger: "invoke", Target: "/invoke", Body: "seven77"}); a.Body != "7\n" || a.Header.Get("Content-Type") != "application/json" {
		t.Errorf("%+v", a)
	}
	if a := g.Call(event{Trigger: "queue", Target: "/queue/orders", Body: "x"}); a.Failure != "UnknownTrigger" {
		t.Errorf("%+v", a)
	}
}

func TestMessagesOfAQueue(t *testing.T) {
	g := execgatetest.Start(t, handler(func(_ context.Context, r *request) (*response, error) {
		messages, err := r.Messages()
		if err != nil {
			return nil, err
		}
		var failed []string
		for _, m := range messages {
			if string(m.Body) == "bad" {
				failed = append(failed, m.Header("Queue-Message-Id"))
			}
		}
		return execgate.FailedMessages(failed...), nil
	}), 1)
	const good = "POST /queue/q HTTP/1.1\r\nQueue-Message-Id: a\r\nContent-Length: 4\r\n\r\ngood"
	const bad = "POST /queue/q HTTP/1.1\r\nQueue-Message-Id: b\r\nContent-Length: 3\r\n\r\nbad"
	for body, answer := range map[string]string{
		good + bad: `{"batchItemFailures":[{"itemIdentifier":"b"}]}`,
		good:       `{"batchItemFailures":[]}`,
	} {
		if a := g.Call(event{Trigger: execgate.TriggerQueue, Target: "/queue/q", Body: body}); a.Body != answer {
			t.Errorf("%+v", a)
		}
	}
	only := event{Trigger: execgate.TriggerQueue, Target: "/queue/q", Body: "bad", Header: http.Header{"Queue-Message-Id": {"c"}}}
	if a := g.Call(only); a.Body != `{"batchItemFailures":[{"itemIdentifier":"c"}]}` {
		t.Errorf("%+v", a)
	}
	if a := g.Call(event{Trigger: execgate.TriggerQueue, Target: "/queue/q", Body: good + "more"}); a.Failure == "" {
		t.Errorf("%+v", a)
	}
}

func TestWithoutAGateway(t *testing.T) {
	t.Setenv("EXECGATE_RUNTIME_SOCKET", "")
	t.Setenv("EXECGATE_RUNTIME_API", "")
	if err := execgate.Handle(echo); err == nil || !strings.Contains(err.Error(), "does execgate run this") {
		t.Error(err)
	}
	if err := (&execgate.Server{Handler: handler(echo), Socket: t.TempDir() + "/none"}).Run(context.Background()); err == nil {
		t.Error("no error")
	}
	if err := (&execgate.Server{}).Run(context.Background()); err == nil {
		t.Error("no error")
	}
}

func TestADirectCall(t *testing.T) {
	a, err := execgatetest.Call(handler(echo), event{Body: "x"})
	if err != nil || a.Status != 200 || a.Body != "x" || a.Header.Get("X-Method") != "POST" {
		t.Errorf("%+v %v", a, err)
	}
	_, err = execgatetest.Call(handler(func(context.Context, *request) (*response, error) { return nil, io.ErrUnexpectedEOF }), event{})
	if err != io.ErrUnexpectedEOF {
		t.Error(err)
	}
}

func FuzzReadRequest(f *testing.F) {
	f.Add([]byte("GET /a%20b?x HTTP/1.1\r\nExecgate-Invocation-Id: 1\r\nContent-Length: 2\r\n\r\nhiGET"))
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"))
	f.Add([]byte("A B C\r\n:\r\nContent-Length: -1\r\n\r\n"))
	f.Fuzz(func(t *testing.T, pipeline []byte) {
		r, rest, err := execgate.ReadRequest(pipeline)
		if err == nil && (r.ID == "" || len(r.Body)+len(rest) >= len(pipeline)) {
			t.Errorf("%+v", r)
		}
	})
}
