package execgate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"strings"
	"sync"
	"time"
)

// How long the poll waits for the answers of its batch, so that one exchange carries them there and the next batch
// back. A wait in vain is not repeated for some batches.
const (
	patience     = 200 * time.Microsecond
	batchesAfter = 16
)

// client speaks with the gateway over two connections. One goroutine polls: its exchange carries the answers that are
// ready and waits for events. While it waits, a second one carries what becomes ready meanwhile, so that no answer
// waits for an event.
type client struct {
	at      address
	max     int
	handler Handler
	log     *log.Logger

	mutex     sync.Mutex
	wake      sync.Cond // of the second goroutine
	out       []byte    // answers that are ready
	spare     []byte    // memory for the next
	held      map[string]*call
	events    sync.WaitGroup // those that are held
	gathering bool           // the poll waits for answers itself
	left      int            // how many of them
	complete  chan struct{}  // none
	over      bool           // nothing is held and no event will come
	stopping  bool
	poll      *wire
}

func newClient(at address, max int, h Handler, logger *log.Logger) *client {
	c := &client{at: at, max: max, handler: h, log: logger, held: map[string]*call{}, complete: make(chan struct{}, 1)}
	c.wake.L = &c.mutex
	return c
}

func (c *client) run(ctx context.Context) error {
	w, err := c.at.open()
	if err != nil {
		return fmt.Errorf("execgate: there is no gateway to talk to: %w", err)
	}
	c.poll = w
	stopped := make(chan struct{})
	ended := make(chan struct{})
	go c.stopWith(ctx, ended, stopped)
	flushed := make(chan struct{})
	go c.flush(flushed)
	if err = c.take(); err != nil {
		c.lost()
	}
	c.drain()
	<-flushed
	close(ended)
	<-stopped
	c.poll.close()
	return err
}

// stopWith ends the poll when ctx ends. The gateway takes a connection that says no more as one that wants no more, and
// an event that it has given at the same moment still arrives.
func (c *client) stopWith(ctx context.Context, ended, stopped chan struct{}) {
	defer close(stopped)
	select {
	case <-ctx.Done():
		c.mutex.Lock()
		c.stopping = true
		c.poll.closeWrite()
		c.mutex.Unlock()
	case <-ended:
	}
}

// --- taking events ---

// take polls until no more comes. An error is of a gateway that cannot be understood; one that is gone is an end, and
// then nobody waits for what is still held.
func (c *client) take() error {
	refusals := 0
	settle := newSettler(c)
	for {
		r, err := c.exchange()
		if err != nil {
			c.lost()
			return nil
		}
		if r.drain {
			return nil
		}
		if r.status != 200 {
			c.log.Printf("execgate: exchange: the gateway answered %d: %.500s", r.status, r.body)
			if refusals++; refusals == 3 {
				return fmt.Errorf("execgate: the gateway refuses exchanges: %d: %.500s", r.status, r.body)
			}
			continue
		}
		refusals = 0
		n, err := c.start(r.body)
		if err != nil {
			return err
		}
		settle.wait(n)
	}
}

var errStopping = errors.New("execgate: the end was asked for")

// exchange carries what is ready there and waits for events; a lost connection is renewed once.
func (c *client) exchange() (reply, error) {
	c.mutex.Lock()
	c.gathering = false
	w, stopping := c.poll, c.stopping
	if stopping {
		c.mutex.Unlock()
		return reply{}, errStopping
	}
	answers := c.out
	c.out, c.spare = c.spare[:0], nil
	c.mutex.Unlock()
	r, sent, err := w.exchange(answers, c.max)
	if err != nil {
		if w = c.renew(); w != nil {
			r, sent, err = w.exchange(answers, c.max)
		}
	}
	if err != nil && !sent {
		c.putBack(answers)
		return r, err
	}
	c.recycle(answers)
	if err == nil {
		c.note(r)
	}
	if r.closes {
		c.renew()
	}
	return r, err
}

// renew replaces the poll's connection; nil when there is no gateway, or the end was asked for.
func (c *client) renew() *wire {
	w, err := c.at.open()
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if err != nil || c.stopping {
		w.close()
		return nil
	}
	c.poll.close()
	c.poll = w
	return w
}

// putBack is for answers that did not leave.
func (c *client) putBack(answers []byte) {
	c.mutex.Lock()
	c.out = append(answers, c.out...)
	c.mutex.Unlock()
}

func (c *client) recycle(memory []byte) {
	if cap(memory) > 1<<20 {
		return
	}
	c.mutex.Lock()
	c.spare = memory[:0]
	c.mutex.Unlock()
}

// note tells what a reply says besides events.
func (c *client) note(r reply) {
	if r.refused != "" {
		c.log.Printf("execgate: answers refused: %s", r.refused)
	}
	if r.cancelled == "" {
		return
	}
	for _, id := range strings.Split(r.cancelled, ",") {
		c.mutex.Lock()
		held := c.held[strings.TrimSpace(id)]
		c.mutex.Unlock()
		if held != nil {
			held.ctx.end(context.Canceled)
		}
	}
}

// lost is called when the poll has ended without a word. Unless that was asked for, nobody waits for what is held.
func (c *client) lost() {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if c.stopping {
		return
	}
	for _, held := range c.held {
		held.ctx.end(context.Canceled)
	}
}

// start begins to handle every event of a pipeline.
func (c *client) start(pipeline []byte) (int, error) {
	var batch []*call
	for len(pipeline) > 0 {
		call := newCall(c)
		rest, err := call.request.read(pipeline)
		if err != nil {
			return 0, err
		}
		pipeline = rest
		batch = append(batch, call)
	}
	c.mutex.Lock()
	for _, call := range batch {
		c.held[call.request.ID] = call
	}
	c.gathering = true
	c.left = len(batch)
	c.mutex.Unlock()
	c.events.Add(len(batch))
	for _, call := range batch {
		go call.run()
	}
	return len(batch), nil
}

// settler waits until a batch is answered, but not for long.
type settler struct {
	client *client
	timer  *time.Timer
	hurry  int // for so many batches nothing is waited for
}

func newSettler(c *client) *settler {
	s := &settler{client: c, timer: time.NewTimer(time.Hour)}
	s.stop()
	return s
}

func (s *settler) stop() {
	if s.timer.Stop() {
		return
	}
	select {
	case <-s.timer.C:
	default:
	}
}

func (s *settler) wait(events int) {
	if events == 0 {
		return
	}
	if s.hurry > 0 {
		s.hurry--
		return
	}
	s.timer.Reset(patience)
	select {
	case <-s.client.complete:
		s.stop()
	case <-s.timer.C:
		s.hurry = batchesAfter
	}
}

// --- giving answers ---

// finish puts the answer to those that are ready.
func (c *client) finish(call *call, r *Response) {
	if r == nil {
		r = &Response{}
	}
	c.mutex.Lock()
	out, err := appendAnswer(c.out, call.request.ID, r)
	if err != nil {
		out = appendFailure(out, call.request.ID, err)
	}
	c.out = out
	c.release(call)
}

// fail answers with an error. That of a panic has a stack, which has a place in a call of its own.
func (c *client) fail(call *call, err error) {
	p, isPanic := err.(*panicked)
	reported := isPanic && c.report(call.request.ID, p) == nil
	c.mutex.Lock()
	if !reported {
		c.out = appendFailure(c.out, call.request.ID, err)
	}
	c.release(call)
}

// streamed is for an answer that has left already.
func (c *client) streamed(call *call) {
	c.mutex.Lock()
	c.release(call)
}

// release forgets the event and wakes whoever is to carry its answer. It takes over the locked mutex.
func (c *client) release(call *call) {
	delete(c.held, call.request.ID)
	wakes := !c.gathering
	if c.left > 0 {
		c.left--
		if c.left == 0 && c.gathering {
			select {
			case c.complete <- struct{}{}:
			default:
			}
		}
	}
	c.mutex.Unlock()
	if wakes {
		c.wake.Signal()
	}
	c.events.Done()
}

func (c *client) report(id string, p *panicked) error {
	text, err := json.Marshal(map[string]string{"message": p.Error(), "type": "Panic", "stack": string(p.stack)})
	if err != nil {
		return err
	}
	w, err := c.at.open()
	if err != nil {
		return err
	}
	defer w.close()
	if _, err = fmt.Fprintf(w.conn, "POST /v1/invocations/%s/error HTTP/1.1\r\nHost: execgate\r\n"+
		"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", id, len(text), text); err != nil {
		return err
	}
	r, err := w.readReply()
	if err == nil && r.status != 202 {
		err = fmt.Errorf("execgate: error: the gateway answered %d", r.status)
	}
	return err
}

// flush is the second goroutine: it carries answers while the poll waits, until the end.
func (c *client) flush(flushed chan struct{}) {
	defer close(flushed)
	var w *wire
	for {
		c.mutex.Lock()
		for (len(c.out) == 0 || c.gathering) && !c.over {
			c.wake.Wait()
		}
		answers := c.out
		c.out = nil
		c.mutex.Unlock()
		if len(answers) == 0 {
			w.close()
			return
		}
		w = c.deliver(w, answers)
	}
}

// deliver returns the connection for the next time, nil when a new one is needed.
func (c *client) deliver(w *wire, answers []byte) *wire {
	var failure error
	for attempt := 0; attempt < 2; attempt++ {
		if w == nil {
			if w, failure = c.at.open(); failure != nil {
				break
			}
		}
		var r reply
		if r, _, failure = w.exchange(answers, 0); failure == nil {
			c.note(r)
			if !r.closes {
				return w
			}
		}
		w.close()
		w = nil
		if failure == nil {
			return nil
		}
	}
	c.log.Printf("execgate: answers are lost: %v", failure)
	return nil
}

// drain waits until everything that is held is answered, and ends the second goroutine.
func (c *client) drain() {
	c.mutex.Lock()
	c.gathering = false
	c.mutex.Unlock()
	c.wake.Signal()
	c.events.Wait()
	c.mutex.Lock()
	c.over = true
	c.mutex.Unlock()
	c.wake.Signal()
}
