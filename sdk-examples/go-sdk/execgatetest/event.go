// Package execgatetest tests handlers without a gateway.
//
// [Call] hands one event to a handler, as a function call:
//
//	answer, err := execgatetest.Call(handler, execgatetest.Event{Method: "POST", Target: "/items", Body: `{"name":"teapot"}`})
//
// [Start] serves a handler as [execgate.Serve] does, against a small stand-in for the gateway on a Unix socket, with
// concurrency, cancellation, streams and drain.
package execgatetest

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"execgate.example/execgate"
)

// Event is what is sent to a handler. What is not set is as in "GET /" of somebody without claims.
type Event struct {
	Trigger    string // "http"
	Route      string // "METHOD path" of this event
	Method     string // "GET", "POST" when there is a body
	Target     string // "/"
	Header     http.Header
	Body       string
	Parameters map[string]string // of the route
	Claims     map[string]any
	Timeout    time.Duration // none

	// Of a WebSocket connection: its id and groups. Others, which are open too, are [Event.Others].
	Connection execgate.Connection
	Groups     []execgate.Group
	Others     []execgate.ConnectionInfo
}

// Answer is what came back.
type Answer struct {
	Status  int
	Header  http.Header
	Body    string
	Failure string   // the error's type when the handler failed; Body is its text
	Stack   string   // of a panic
	Posted  []Posted // of [Call]: the messages that the handler has sent
	Pushed  []Pushed // of [Call]: what it has sent to connections
}

func newID() string {
	b := make([]byte, 16)
	rand.Read(b)
	h := hex.EncodeToString(b)
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

func or(value, otherwise string) string {
	if value == "" {
		return otherwise
	}
	return value
}

// message writes the event as the gateway would.
func (e Event) message(id string) []byte {
	var b bytes.Buffer
	method := "GET"
	if e.Body != "" {
		method = "POST"
	}
	method = or(e.Method, method)
	target := or(e.Target, "/")
	path, _, _ := strings.Cut(target, "?")
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nExecgate-Invocation-Id: %s\r\nExecgate-Trigger: %s\r\n", method, target, id, or(e.Trigger, "http"))
	fmt.Fprintf(&b, "Execgate-Route: %s\r\nExecgate-Client-Address: 127.0.0.1\r\nExecgate-Request-Id: %s\r\n", or(e.Route, method+" "+path), id)
	if len(e.Parameters) > 0 {
		values := url.Values{}
		for name, value := range e.Parameters {
			values.Set(name, value)
		}
		fmt.Fprintf(&b, "Execgate-Parameters: %s\r\n", values.Encode())
	}
	if e.Timeout != 0 {
		fmt.Fprintf(&b, "Execgate-Deadline: %d\r\n", time.Now().Add(e.Timeout).UnixMilli())
	}
	if e.Claims != nil {
		claims, _ := json.Marshal(e.Claims)
		fmt.Fprintf(&b, "Execgate-Claims: %s\r\n", claims)
	}
	if e.Connection != "" {
		fmt.Fprintf(&b, "Execgate-Connection-Id: %s\r\n", e.Connection)
	}
	if len(e.Groups) > 0 {
		fmt.Fprintf(&b, "Execgate-Groups: %s\r\n", escapedList(e.Groups))
	}
	if e.Header.Get("Host") == "" {
		b.WriteString("Host: localhost\r\n")
	}
	e.Header.Write(&b)
	fmt.Fprintf(&b, "Content-Length: %d\r\n\r\n%s", len(e.Body), e.Body)
	return b.Bytes()
}

// Request is the event as a handler gets it.
func (e Event) Request() (*execgate.Request, error) {
	r, _, err := execgate.ReadRequest(e.message(newID()))
	return r, err
}

// Call hands the event to the handler, here and now. A handler's error is returned as it is, and it may panic; a stream
// is gathered.
func Call(h execgate.Handler, e Event) (*Answer, error) {
	r, err := e.Request()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if !r.Deadline.IsZero() {
		ctx, cancel = context.WithDeadline(ctx, r.Deadline)
		defer cancel()
	}
	sent := outbox{held: map[string][]Posted{}}
	ctx = execgate.WithSender(execgate.NewContext(ctx, r), func(queue, invocation string, messages []execgate.Message) ([]execgate.Receipt, error) {
		return sent.take(queue, invocation, messages), nil
	})
	open := e.connections()
	ctx = execgate.WithCalls(ctx, open.serve)
	response, err := h.Handle(ctx, r)
	if err != nil {
		return nil, err
	}
	a, err := gather(response)
	if err == nil {
		sent.settle(r.ID, true)
		a.Posted, a.Pushed = sent.kept, open.pushed
	}
	return a, err
}

func gather(r *execgate.Response) (*Answer, error) {
	if r == nil {
		r = &execgate.Response{}
	}
	a := &Answer{Status: r.Status}
	if a.Status == 0 {
		a.Status = http.StatusOK
	}
	if a.Header = r.Header.Clone(); a.Header == nil {
		a.Header = http.Header{}
	}
	if r.ContentType != "" {
		a.Header.Set("Content-Type", r.ContentType)
	}
	body := bytes.NewBuffer(append([]byte(nil), r.Body...))
	if r.Stream != nil {
		if err := r.Stream(body); err != nil {
			return nil, err
		}
	}
	a.Body = body.String()
	return a, nil
}
