package execgate

import (
	"context"
	"sync"
	"time"
)

// eventContext is the context of one event. Its channel and timer are made when somebody asks for them: most handlers
// never do, and then a context costs nothing.
type eventContext struct {
	request *Request

	mutex sync.Mutex
	done  chan struct{}
	timer *time.Timer
	err   error
}

type requestKey struct{}

// FromContext returns the event that a context belongs to; also of the context of a net/http request that [ServeHTTP]
// made.
func FromContext(ctx context.Context) (*Request, bool) {
	r, ok := ctx.Value(requestKey{}).(*Request)
	return r, ok
}

// NewContext returns a context that [FromContext] finds the event in. It is for tests.
func NewContext(parent context.Context, r *Request) context.Context {
	return context.WithValue(parent, requestKey{}, r)
}

func (c *eventContext) Deadline() (time.Time, bool) {
	return c.request.Deadline, !c.request.Deadline.IsZero()
}

func (c *eventContext) Value(key any) any {
	if key == (requestKey{}) {
		return c.request
	}
	return nil
}

func (c *eventContext) Done() <-chan struct{} {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if c.done != nil {
		return c.done
	}
	c.done = make(chan struct{})
	if c.err != nil {
		close(c.done)
	} else if at, ok := c.Deadline(); ok {
		c.timer = time.AfterFunc(time.Until(at), func() { c.end(context.DeadlineExceeded) })
	}
	return c.done
}

func (c *eventContext) Err() error {
	if at, ok := c.Deadline(); ok && !time.Now().Before(at) {
		c.end(context.DeadlineExceeded)
	}
	c.mutex.Lock()
	defer c.mutex.Unlock()
	return c.err
}

// end is idempotent: the first reason stays.
func (c *eventContext) end(reason error) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if c.err != nil {
		return
	}
	c.err = reason
	if c.timer != nil {
		c.timer.Stop()
	}
	if c.done != nil {
		close(c.done)
	}
}
