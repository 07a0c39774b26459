package execgate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Connection is the id of a WebSocket connection. Whatever is done with it gives up when the context ends.
type Connection string

// Group is the name of a group of WebSocket connections, which is there while somebody is in it.
type Group string

// ErrGone is what errors.Is finds when no such connection is open (any more).
var ErrGone = errors.New("execgate: no such connection is open")

// CallError is the gateway's refusal of a call.
type CallError struct {
	Call   string // "POST /v1/groups/tea/messages"
	Status int
	Detail string
}

func (e *CallError) Error() string {
	return fmt.Sprintf("%s was answered %d: %s", e.Call, e.Status, e.Detail)
}

// Is makes 410 an [ErrGone].
func (e *CallError) Is(target error) bool { return target == ErrGone && e.Status == http.StatusGone }

// ConnectionInfo is what the gateway knows of an open connection.
type ConnectionInfo struct {
	ID           Connection `json:"connectionId"`
	Path         string
	ConnectedAt  time.Time
	LastActiveAt time.Time
	Identity     struct{ SourceIP, UserAgent string }
	Claims       map[string]any // nil when the path has no guard
	Protocol     string
	Outbound     int64 // bytes that wait for its client
	Groups       []Group
}

// Connection is the one that an event of it belongs to, "" for other events.
func (r *Request) Connection() Connection { return Connection(r.Header("Execgate-Connection-Id")) }

// Groups are those that the event's connection is in, or was in when it ended.
func (r *Request) Groups() []Group {
	var groups []Group
	for _, escaped := range strings.Split(r.Header("Execgate-Groups"), ",") {
		if name, err := url.PathUnescape(escaped); err == nil && name != "" {
			groups = append(groups, Group(name))
		}
	}
	return groups
}

// Send sends a text message.
func (c Connection) Send(ctx context.Context, text string) error {
	return ask{"POST", c.path(), "text/plain; charset=utf-8", []byte(text)}.do(ctx, nil)
}

// SendBytes sends a binary message.
func (c Connection) SendBytes(ctx context.Context, data []byte) error {
	return ask{"POST", c.path(), "application/octet-stream", data}.do(ctx, nil)
}

// Close ends the connection with a code, 1000 or one of 3000 to 4999, and a reason.
func (c Connection) Close(ctx context.Context, code int, reason string) error {
	query := url.Values{"code": {strconv.Itoa(code)}, "reason": {reason}}
	return ask{method: "DELETE", target: c.path() + "?" + query.Encode()}.do(ctx, nil)
}

// Show tells what the gateway knows of the connection.
func (c Connection) Show(ctx context.Context) (info ConnectionInfo, err error) {
	err = ask{method: "GET", target: c.path()}.do(ctx, &info)
	return info, err
}

func (c Connection) path() string { return "/v1/connections/" + url.PathEscape(string(c)) }

// Join puts a connection into the group; it leaves when it ends.
func (g Group) Join(ctx context.Context, c Connection) error {
	return ask{method: "PUT", target: g.member(c)}.do(ctx, nil)
}

// Leave takes it out.
func (g Group) Leave(ctx context.Context, c Connection) error {
	return ask{method: "DELETE", target: g.member(c)}.do(ctx, nil)
}

func (g Group) member(c Connection) string { return c.path() + "/groups/" + url.PathEscape(string(g)) }

// Send sends a text message to all in the group but one; "" excepts nobody. It returns how many it went to.
func (g Group) Send(ctx context.Context, text string, except Connection) (int, error) {
	return g.broadcast(ctx, "text/plain; charset=utf-8", []byte(text), except)
}

// SendBytes does the same with a binary message.
func (g Group) SendBytes(ctx context.Context, data []byte, except Connection) (int, error) {
	return g.broadcast(ctx, "application/octet-stream", data, except)
}

func (g Group) broadcast(ctx context.Context, contentType string, data []byte, except Connection) (int, error) {
	var told struct{ Sent int }
	target := "/v1/groups/" + url.PathEscape(string(g)) + "/messages"
	if except != "" {
		target += "?except=" + url.QueryEscape(string(except))
	}
	err := ask{"POST", target, contentType, data}.do(ctx, &told)
	return told.Sent, err
}

// Size is how many are in the group.
func (g Group) Size(ctx context.Context) (int, error) {
	var told struct{ Connections int }
	err := ask{method: "GET", target: "/v1/groups/" + url.PathEscape(string(g))}.do(ctx, &told)
	return told.Connections, err
}

// Members are the first so many of the group, at most 1000.
func (g Group) Members(ctx context.Context, limit int) ([]ConnectionInfo, error) {
	var told struct{ Connections []ConnectionInfo }
	query := url.Values{"group": {string(g)}, "limit": {strconv.Itoa(limit)}}
	err := ask{method: "GET", target: "/v1/connections?" + query.Encode()}.do(ctx, &told)
	return told.Connections, err
}

// CallFunc stands in for the gateway in tests; see [WithCalls].
type CallFunc func(r *http.Request) (status int, body []byte)

type callsKey struct{}

// WithCalls returns a context in which f answers what is done with connections and groups. It is for tests.
func WithCalls(parent context.Context, f CallFunc) context.Context {
	return context.WithValue(parent, callsKey{}, f)
}

// ask is a request to the runtime API.
type ask struct {
	method, target, contentType string
	body                        []byte
}

// do reads the answer into told, unless that is nil.
func (a ask) do(ctx context.Context, told any) error {
	status, body, err := a.roundTrip(ctx)
	if err != nil {
		return err
	}
	if status >= 300 {
		return &CallError{a.method + " " + a.target, status, detailOf(body)}
	}
	if told == nil {
		return nil
	}
	return json.Unmarshal(body, told)
}

func (a ask) roundTrip(ctx context.Context) (int, []byte, error) {
	if f, ok := ctx.Value(callsKey{}).(CallFunc); ok {
		r, err := http.NewRequestWithContext(ctx, a.method, a.target, strings.NewReader(string(a.body)))
		if err != nil {
			return 0, nil, err
		}
		r.Header.Set("Content-Type", a.contentType)
		status, body := f(r)
		return status, body, nil
	}
	head := a.method + " " + a.target + " HTTP/1.1\r\nHost: execgate\r\n"
	if a.contentType != "" {
		head += "Content-Type: " + a.contentType + "\r\n"
	}
	ctx, cancel := context.WithTimeout(ctx, sendPatience)
	defer cancel()
	r, sent, err := addressOf(ctx).call(ctx, head, a.body)
	if err != nil && sent {
		err = fmt.Errorf("execgate: it is not known whether the gateway has done it: %w", err)
	} else if err != nil {
		err = fmt.Errorf("execgate: the gateway cannot be reached: %w", err)
	}
	return r.status, r.body, err
}
