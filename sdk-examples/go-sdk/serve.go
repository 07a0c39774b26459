package execgate

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"os"
	"os/signal"
	"runtime/debug"
	"strconv"
	"syscall"
)

// Handler answers events. The request, its body included, is the handler's to keep.
type Handler interface {
	Handle(ctx context.Context, req *Request) (*Response, error)
}

// HandlerFunc is a function as a Handler.
type HandlerFunc func(ctx context.Context, req *Request) (*Response, error)

func (f HandlerFunc) Handle(ctx context.Context, req *Request) (*Response, error) { return f(ctx, req) }

// Triggers picks a handler by what the event is: the keys are the Trigger constants.
type Triggers map[string]Handler

func (t Triggers) Handle(ctx context.Context, req *Request) (*Response, error) {
	if h := t[req.Trigger]; h != nil {
		return h.Handle(ctx, req)
	}
	return nil, &Error{"UnknownTrigger", fmt.Sprintf("nothing here handles events of the kind %q", req.Trigger)}
}

// Handle serves events with a function; see [Serve].
func Handle(f func(ctx context.Context, req *Request) (*Response, error)) error {
	return Serve(HandlerFunc(f))
}

// ServeHTTP serves events with a net/http handler; see [HTTP] and [Serve].
func ServeHTTP(h http.Handler) error {
	return Serve(HTTP(h))
}

// Serve takes events and answers them until the gateway wants no more of this process or SIGTERM comes; what is held
// by then is answered first.
func Serve(h Handler) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	s := &Server{Handler: h}
	return s.Run(ctx)
}

// Server is what [Serve] runs, for programs that want to say more. A Server runs once.
type Server struct {
	Handler     Handler
	Socket      string      // of the runtime API; EXECGATE_RUNTIME_SOCKET
	API         string      // its URL, for want of a socket; EXECGATE_RUNTIME_API
	Concurrency int         // how many events may be held at once; EXECGATE_CONCURRENCY
	ErrorLog    *log.Logger // what the gateway refused; the standard logger
}

func (s *Server) client() *client {
	at := address{s.Socket, s.API}
	if at == (address{}) {
		at = environment()
	}
	max := s.Concurrency
	if max < 1 {
		max, _ = strconv.Atoi(os.Getenv("EXECGATE_CONCURRENCY"))
	}
	if max < 1 {
		max = 1
	}
	logger := s.ErrorLog
	if logger == nil {
		logger = log.Default()
	}
	return newClient(at, max, s.Handler, logger)
}

// Run serves until the gateway says that no more comes, or ctx ends; then nil, once everything held is answered.
func (s *Server) Run(ctx context.Context) error {
	if s.Handler == nil {
		return errors.New("execgate: a Server without a Handler")
	}
	return s.client().run(ctx)
}

// call is one event while it is handled.
type call struct {
	client  *client
	ctx     *eventContext
	request *Request
	stream  *stream
}

// newCall makes all that belongs to an event in one piece.
func newCall(c *client) *call {
	all := &struct {
		call    call
		ctx     eventContext
		request Request
		fields  [8]Field
	}{}
	all.request.Fields = all.fields[:0]
	all.request.call = &all.call
	all.ctx.request = &all.request
	all.call = call{client: c, ctx: &all.ctx, request: &all.request}
	return &all.call
}

// run handles the event and sees to it that it is answered, whatever the handler does.
func (c *call) run() {
	response, err := c.handle()
	if err == nil && c.stream == nil && response != nil && response.Stream != nil {
		err = c.streamOut(response)
	}
	switch {
	case c.stream != nil:
		c.stream.end(err)
		c.client.streamed(c)
	case err != nil:
		c.client.fail(c, err)
	default:
		c.client.finish(c, response)
	}
	c.ctx.end(context.Canceled)
}

func (c *call) handle() (response *Response, err error) {
	defer c.recover(&err)
	return c.client.handler.Handle(c.ctx, c.request)
}

func (c *call) streamOut(r *Response) (err error) {
	defer c.recover(&err)
	w, err := c.begin(r)
	if err != nil {
		return err
	}
	return r.Stream(w)
}

// begin sends what there is of the response; from then on its body is a stream.
func (c *call) begin(r *Response) (*stream, error) {
	s, err := newStream(c, r)
	if err == nil {
		c.stream = s
	}
	return s, err
}

// panicked is the error of a handler that did.
type panicked struct {
	value any
	stack []byte
}

func (p *panicked) Error() string { return fmt.Sprintf("panic: %v", p.value) }

func (c *call) recover(err *error) {
	value := recover()
	switch {
	case value == nil:
	case value == http.ErrAbortHandler:
		*err = &Error{"Aborted", "the handler aborted its answer"}
	default:
		*err = &panicked{value, debug.Stack()}
	}
}
