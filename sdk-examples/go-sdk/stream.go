package execgate

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
)

var errClientGone = errors.New("execgate: nobody listens to this stream any more")

// stream is an answer whose body is sent while it is made, on a connection of its own (RFC 9112 section 7.1). The
// gateway closes that connection when the client has left.
type stream struct {
	call *call
	wire *wire

	mutex   sync.Mutex
	ended   bool
	failure error
	reply   chan reply
}

func newStream(c *call, r *Response) (*stream, error) {
	head, err := appendHead(nil, c.request.ID, r)
	if err != nil {
		return nil, err
	}
	head = append(append(head, "\r\n"...), r.Body...)
	w, err := c.client.at.open()
	if err != nil {
		return nil, err
	}
	s := &stream{call: c, wire: w, reply: make(chan reply, 1)}
	_, err = fmt.Fprintf(w.conn, "POST /v1/invocations/%s/response HTTP/1.1\r\nHost: execgate\r\nContent-Type: application/http\r\n"+
		"Transfer-Encoding: chunked\r\nTrailer: Execgate-Error\r\n\r\n%x\r\n%s\r\n", c.request.ID, len(head), head)
	if err != nil {
		w.close()
		return nil, err
	}
	go s.listen()
	return s, nil
}

// listen reads the gateway's reply. One that comes before the end says that the stream is not wanted.
func (s *stream) listen() {
	r, err := s.wire.readReply()
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if err != nil || !s.ended {
		s.failure = errClientGone
		s.wire.close()
		s.call.ctx.end(context.Canceled)
	}
	s.reply <- r
}

// Write sends p at once; nothing at all when it is empty, which would be the end.
func (s *stream) Write(p []byte) (int, error) {
	s.mutex.Lock()
	failure := s.failure
	s.mutex.Unlock()
	if failure != nil || len(p) == 0 {
		return 0, failure
	}
	frame := make([]byte, 0, len(p)+16)
	frame = strconv.AppendInt(frame, int64(len(p)), 16)
	frame = append(frame, "\r\n"...)
	frame = append(frame, p...)
	frame = append(frame, "\r\n"...)
	if _, err := s.wire.conn.Write(frame); err != nil {
		s.call.ctx.end(context.Canceled)
		return 0, errClientGone
	}
	return len(p), nil
}

// end sends the last chunk. An error goes into the trailer: the gateway then breaks the client's connection off.
func (s *stream) end(err error) {
	last := "0\r\n\r\n"
	gone := errors.Is(err, errClientGone)
	if err != nil && !gone {
		last = "0\r\nExecgate-Error: " + errorType(err) + "\r\n\r\n"
	}
	s.mutex.Lock()
	s.ended = true
	gone = gone || s.failure != nil
	s.mutex.Unlock()
	if err != nil && !errors.Is(err, errClientGone) {
		s.call.client.log.Printf("execgate: stream broken off: %v", describe(err))
	}
	if gone {
		s.wire.close()
		return
	}
	if _, err := s.wire.conn.Write([]byte(last)); err == nil {
		if r := <-s.reply; r.status >= 300 {
			s.call.client.log.Printf("execgate: stream: the gateway answered %d: %.500s", r.status, r.body)
		}
	}
	s.wire.close()
}

func describe(err error) string {
	if p, ok := err.(*panicked); ok {
		return p.Error() + "\n" + string(p.stack)
	}
	return err.Error()
}
