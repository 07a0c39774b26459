package execgatetest

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"execgate.example/execgate"
)

// Sent is an event on its way.
type Sent struct {
	ID     string
	Answer <-chan *Answer // one comes, unless the handler's process would have died
}

// Gateway stands in for execgate: it speaks as much of the runtime API as the SDK needs.
type Gateway struct {
	t           testing.TB
	concurrency int
	ended       chan struct{}
	err         error
	stop        context.CancelFunc

	mutex     sync.Mutex
	queue     [][]byte
	held      map[string]chan *Answer
	running   int
	cancelled []string
	refused   []string
	exchanges int
	draining  bool
	outbox    outbox
	open      connections
	refusal   int
	stalled   bool
	changed   chan struct{} // closed and made anew at every change
}

// Start serves h with so many events at once until the test ends.
func Start(t testing.TB, h execgate.Handler, concurrency int) *Gateway {
	t.Helper()
	folder, err := os.MkdirTemp("", "execgate")
	if err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(folder, "api.sock")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	g := &Gateway{t: t, concurrency: concurrency, held: map[string]chan *Answer{}, outbox: outbox{held: map[string][]Posted{}}, ended: make(chan struct{}), changed: make(chan struct{})}
	api := &http.Server{Handler: g, ErrorLog: log.New(io.Discard, "", 0)}
	go api.Serve(listener)
	ctx, stop := context.WithCancel(context.Background())
	g.stop = stop
	go func() {
		s := execgate.Server{Handler: h, Socket: socket, Concurrency: concurrency, ErrorLog: log.New(testLog{t, g.ended}, "", 0)}
		g.err = s.Run(ctx)
		close(g.ended)
	}()
	t.Cleanup(func() {
		g.Drain()
		g.Wait()
		stop()
		api.Close()
		os.RemoveAll(folder)
	})
	return g
}

// testLog writes into the test's log, which must not be used when the test is over.
type testLog struct {
	t     testing.TB
	ended chan struct{}
}

func (l testLog) Write(p []byte) (int, error) {
	select {
	case <-l.ended:
	default:
		l.t.Logf("%s", bytes.TrimSpace(p))
	}
	return len(p), nil
}

// --- the test's side ---

// Send sends an event and does not wait.
func (g *Gateway) Send(e Event) Sent {
	id, answer := newID(), make(chan *Answer, 1)
	g.change(func() {
		g.held[id] = answer
		g.open.add(e)
		g.queue = append(g.queue, e.message(id))
	})
	return Sent{id, answer}
}

// Call sends an event and waits for the answer.
func (g *Gateway) Call(e Event) *Answer {
	g.t.Helper()
	select {
	case a := <-g.Send(e).Answer:
		return a
	case <-time.After(time.Minute):
		g.t.Fatal("no answer within a minute")
		return nil
	}
}

// Cancel tells the handler that nobody waits for this answer any more.
func (g *Gateway) Cancel(id string) {
	g.change(func() { g.cancelled = append(g.cancelled, id) })
}

// Drain tells the handler that no more comes. What was sent before still does.
func (g *Gateway) Drain() {
	g.change(func() { g.draining = true })
}

// Terminate does what SIGTERM does.
func (g *Gateway) Terminate() { g.stop() }

// Wait waits until the handler has ended, and returns what [execgate.Server.Run] did.
func (g *Gateway) Wait() error {
	select {
	case <-g.ended:
		return g.err
	case <-time.After(time.Minute):
		g.t.Error("the handler did not end within a minute")
		return context.DeadlineExceeded
	}
}

// Exchanges is how many the handler has made.
func (g *Gateway) Exchanges() int {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	return g.exchanges
}

// --- the runtime API ---

func (g *Gateway) change(f func()) {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	f()
	close(g.changed)
	g.changed = make(chan struct{})
}

func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	words := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	switch {
	case r.URL.Path == "/v1/exchange":
		g.exchange(w, r)
	case len(words) == 4 && words[1] == "invocations" && words[3] == "response":
		g.response(w, r, words[2])
	case len(words) == 4 && words[1] == "invocations" && words[3] == "error":
		g.failure(w, r, words[2])
	case len(words) == 4 && words[1] == "queues" && words[3] == "messages":
		g.post(w, r, words[2])
	case words[1] == "connections" || words[1] == "groups":
		g.connected(w, r)
	default:
		http.NotFound(w, r)
	}
}

func (g *Gateway) exchange(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err == nil {
		err = g.takeAnswers(body)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	max, _ := strconv.Atoi(r.URL.Query().Get("max"))
	for {
		g.mutex.Lock()
		pipeline, told := g.give(max, w.Header())
		changed := g.changed
		g.mutex.Unlock()
		if told {
			w.Header().Set("Content-Length", strconv.Itoa(len(pipeline)))
			w.Write(pipeline)
			return
		}
		select {
		case <-changed:
		case <-r.Context().Done():
			return
		}
	}
}

// give takes from the queue what may be sent now, and says whether there is anything to tell.
func (g *Gateway) give(max int, header http.Header) (pipeline []byte, told bool) {
	for max > 0 && len(g.queue) > 0 && g.running < g.concurrency {
		pipeline = append(pipeline, g.queue[0]...)
		g.queue = g.queue[1:]
		g.running++
		max--
		told = true
	}
	if len(g.cancelled) > 0 {
		header.Set("Execgate-Cancelled", strings.Join(g.cancelled, ", "))
		g.cancelled, told = nil, true
	}
	if len(g.refused) > 0 {
		header.Set("Execgate-Refused", strings.Join(g.refused, ", "))
		g.refused, told = nil, true
	}
	if g.draining && len(g.queue) == 0 && len(pipeline) == 0 {
		header.Set("Execgate-Drain", "true")
		told = true
	}
	if told || max == 0 {
		g.exchanges++
	}
	return pipeline, told || max == 0
}

func (g *Gateway) takeAnswers(pipeline []byte) error {
	in := bufio.NewReader(bytes.NewReader(pipeline))
	for {
		if _, err := in.Peek(1); err == io.EOF {
			return nil
		}
		r, err := http.ReadResponse(in, nil)
		if err != nil {
			return err
		}
		if r.ContentLength < 0 {
			return fmt.Errorf("an answer without Content-Length")
		}
		if err = g.take(r.Header.Get("Execgate-Invocation-Id"), r); err != nil {
			return err
		}
	}
}

func (g *Gateway) take(id string, r *http.Response) error {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	g.complete(id, &Answer{Status: r.StatusCode, Header: r.Header, Body: string(body), Failure: r.Header.Get("Execgate-Error")})
	return nil
}

func (g *Gateway) complete(id string, a *Answer) {
	g.change(func() {
		answer := g.held[id]
		if answer == nil {
			g.refused = append(g.refused, id+" unknown")
			return
		}
		delete(g.held, id)
		g.outbox.settle(id, a.Failure == "")
		g.running--
		answer <- a
	})
}

// response takes a streamed answer: its message ends where the request does.
func (g *Gateway) response(w http.ResponseWriter, r *http.Request, id string) {
	answer, err := http.ReadResponse(bufio.NewReader(r.Body), nil)
	if err == nil {
		err = g.takeStream(id, answer, r)
	}
	if err != nil {
		g.complete(id, &Answer{Status: http.StatusBadGateway, Failure: "BrokenStream", Body: err.Error()})
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.WriteHeader(http.StatusAccepted)
}

func (g *Gateway) takeStream(id string, answer *http.Response, upload *http.Request) error {
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return err
	}
	g.complete(id, &Answer{Status: answer.StatusCode, Header: answer.Header, Body: string(body), Failure: upload.Trailer.Get("Execgate-Error")})
	return nil
}

func (g *Gateway) failure(w http.ResponseWriter, r *http.Request, id string) {
	var report struct{ Message, Type, Stack string }
	if err := json.NewDecoder(r.Body).Decode(&report); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	g.complete(id, &Answer{Status: http.StatusBadGateway, Header: http.Header{}, Failure: report.Type, Body: report.Message, Stack: report.Stack})
	w.WriteHeader(http.StatusAccepted)
}
