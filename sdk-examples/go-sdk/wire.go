package execgate

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strconv"
	"strings"
)

// What is read into memory of one reply: as many events as may come at once, each with a body in memory.
const maxReply = 1 << 31

// address is where the runtime API listens; the Unix socket is the quicker way in.
type address struct {
	socket string
	api    string
}

var errNoGateway = errors.New(
	"execgate: neither EXECGATE_RUNTIME_SOCKET nor EXECGATE_RUNTIME_API is set; does execgate run this?")

func (a address) dial(ctx context.Context) (net.Conn, error) {
	var d net.Dialer
	if a.socket != "" {
		return d.DialContext(ctx, "unix", a.socket)
	}
	if a.api == "" {
		return nil, errNoGateway
	}
	u, err := url.Parse(a.api)
	if err != nil {
		return nil, fmt.Errorf("execgate: EXECGATE_RUNTIME_API is no URL: %w", err)
	}
	return d.DialContext(ctx, "tcp", u.Host)
}

// wire is one connection to the gateway.
type wire struct {
	conn net.Conn
	in   *bufio.Reader
}

func (a address) open() (*wire, error) { return a.openWithin(context.Background()) }

func (a address) openWithin(ctx context.Context) (*wire, error) {
	conn, err := a.dial(ctx)
	if err != nil {
		return nil, err
	}
	return &wire{conn: conn, in: bufio.NewReaderSize(conn, 16<<10)}, nil
}

func (w *wire) close() {
	if w != nil {
		w.conn.Close()
	}
}

// closeWrite says that nothing more comes from here; what the gateway has already sent can still be read.
func (w *wire) closeWrite() {
	if half, ok := w.conn.(interface{ CloseWrite() error }); ok {
		half.CloseWrite()
	}
}

type reply struct {
	status    int
	drain     bool
	closes    bool
	cancelled string
	refused   string
	body      []byte
}

// readReply reads the final reply; interim ones (1xx) are dropped.
func (w *wire) readReply() (reply, error) {
	for {
		r, err := w.readOne()
		if err != nil || r.status >= 200 {
			return r, err
		}
	}
}

func (w *wire) readOne() (reply, error) {
	var r reply
	line, err := w.readLine()
	if err != nil {
		return r, err
	}
	if len(line) < 12 || !bytes.HasPrefix(line, []byte("HTTP/1.")) {
		return r, fmt.Errorf("execgate: the gateway's reply begins with %.40q", line)
	}
	if r.status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return r, fmt.Errorf("execgate: the gateway's reply begins with %.40q", line)
	}
	size := int64(0)
	for {
		if line, err = w.readLine(); err != nil {
			return r, err
		}
		if len(line) == 0 {
			break
		}
		if err = r.note(line, &size); err != nil {
			return r, err
		}
	}
	if size > 0 && r.status >= 200 && r.status != 204 {
		r.body = make([]byte, size)
		_, err = io.ReadFull(w.in, r.body)
	}
	return r, err
}

// readLine returns a line without its end; it lives until the next read.
func (w *wire) readLine() ([]byte, error) {
	line, err := w.in.ReadSlice('\n')
	if err != nil {
		return nil, err
	}
	return bytes.TrimRight(line, "\r\n"), nil
}

func (r *reply) note(line []byte, size *int64) (err error) {
	colon := bytes.IndexByte(line, ':')
	if colon < 0 {
		return fmt.Errorf("execgate: a line of the gateway's reply has no colon: %.40q", line)
	}
	name, value := line[:colon], bytes.TrimSpace(line[colon+1:])
	switch {
	case equalFold(name, "Content-Length"):
		*size, err = strconv.ParseInt(string(value), 10, 64)
		if err != nil || *size < 0 || *size > maxReply {
			err = fmt.Errorf("execgate: the gateway's reply has the length %.40q", value)
		}
	case equalFold(name, "Transfer-Encoding"):
		err = errors.New("execgate: the gateway's reply has no length")
	case equalFold(name, "Execgate-Cancelled"):
		r.cancelled = string(value)
	case equalFold(name, "Execgate-Refused"):
		r.refused = string(value)
	case equalFold(name, "Execgate-Drain"):
		r.drain = equalFold(value, "true")
	case equalFold(name, "Connection"):
		r.closes = equalFold(value, "close")
	}
	return err
}

func equalFold(a []byte, b string) bool {
	return len(a) == len(b) && strings.EqualFold(string(a), b)
}

// exchange carries answers there and up to max events back; sent says whether the answers have left.
func (w *wire) exchange(answers []byte, max int) (r reply, sent bool, err error) {
	head := make([]byte, 0, 160)
	head = append(head, "POST /v1/exchange?max="...)
	head = strconv.AppendInt(head, int64(max), 10)
	head = append(head, " HTTP/1.1\r\nHost: execgate\r\nContent-Type: application/http\r\nContent-Length: "...)
	head = strconv.AppendInt(head, int64(len(answers)), 10)
	head = append(head, "\r\n\r\n"...)
	message := net.Buffers{head, answers}
	if _, err = message.WriteTo(w.conn); err != nil {
		return r, false, err
	}
	r, err = w.readReply()
	return r, true, err
}
