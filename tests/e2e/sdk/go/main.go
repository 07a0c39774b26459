// What test_sdk.py asks of a handler, on the Go SDK. With an argument, the net/http adapter serves the same routes.
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"execgate.example/execgate"
)

var together = struct {
	sync.Mutex
	waiting int
	all     chan struct{}
}{all: make(chan struct{})}

// meet returns once four are there.
func meet(ctx context.Context) error {
	together.Lock()
	together.waiting++
	if together.waiting == 4 {
		close(together.all)
	}
	together.Unlock()
	select {
	case <-together.all:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func wait(ctx context.Context) {
	fmt.Fprintln(os.Stderr, "waiting")
	<-ctx.Done()
	fmt.Fprintln(os.Stderr, "the context ended:", ctx.Err())
}

func ticks(ctx context.Context, w io.Writer, last string) error {
	for i := 1; ; i++ {
		if _, err := fmt.Fprintf(w, "tick %d\n", i); err != nil {
			fmt.Fprintln(os.Stderr, "nobody listens")
			return err
		}
		if last != "" && fmt.Sprint(i) == last {
			return nil
		}
		select {
		case <-ctx.Done():
			fmt.Fprintln(os.Stderr, "nobody listens")
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func handle(ctx context.Context, req *execgate.Request) (*execgate.Response, error) {
	if req.Trigger == execgate.TriggerInvoke {
		return &execgate.Response{Body: []byte(strings.ToUpper(string(req.Body)))}, nil
	}
	switch req.Parameter("what") {
	case "panic":
		panic("what a mess")
	case "error":
		return nil, &execgate.Error{Type: "OutOfStock", Message: "db.example is empty"}
	case "meet":
		return nil, meet(ctx)
	case "wait":
		wait(ctx)
	case "slow":
		fmt.Fprintln(os.Stderr, "slow begins")
		time.Sleep(300 * time.Millisecond)
	case "ticks":
		return &execgate.Response{ContentType: "text/plain", Stream: func(w io.Writer) error { return ticks(ctx, w, req.Query().Get("last")) }}, nil
	case "torn":
		return &execgate.Response{Stream: func(w io.Writer) error {
			fmt.Fprint(w, "half of ")
			return &execgate.Error{Type: "TornApart", Message: "it broke"}
		}}, nil
	case "claims":
		claims, err := req.Claims()
		if err != nil {
			return nil, err
		}
		return execgate.JSON(200, map[string]any{"sub": claims["sub"], "id": req.RequestID, "route": req.Route})
	}
	return &execgate.Response{Body: req.Body}, nil
}

func serveHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/panic":
		panic("what a mess")
	case "/wait":
		wait(r.Context())
	case "/slow":
		fmt.Fprintln(os.Stderr, "slow begins")
		time.Sleep(300 * time.Millisecond)
	case "/meet":
		meet(r.Context())
	case "/ticks":
		w.Header().Set("Content-Type", "text/plain")
		w.(http.Flusher).Flush()
		ticks(r.Context(), flushing{w}, r.URL.Query().Get("last"))
	case "/claims":
		event, _ := execgate.FromContext(r.Context())
		claims, _ := event.Claims()
		fmt.Fprintf(w, `{"sub":%q,"id":%q,"route":%q}`, claims["sub"], event.RequestID, event.Route)
	default:
		io.Copy(w, r.Body)
	}
}

type flushing struct{ http.ResponseWriter }

func (f flushing) Write(p []byte) (int, error) {
	n, err := f.ResponseWriter.Write(p)
	f.ResponseWriter.(http.Flusher).Flush()
	return n, err
}

func main() {
	err := error(nil)
	if len(os.Args) > 1 && os.Args[1] == "queues" {
		err = execgate.Serve(queues)
	} else if len(os.Args) > 1 && os.Args[1] == "rooms" {
		err = execgate.Handle(rooms)
	} else if len(os.Args) > 1 {
		err = execgate.ServeHTTP(http.HandlerFunc(serveHTTP))
	} else {
		err = execgate.Handle(handle)
	}
	if err != nil {
		log.Fatal(err)
	}
	fmt.Fprintln(os.Stderr, "ended by itself")
}
