package execgate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Message is one of a queue: taken from an event with [Request.Messages], or sent with [Send].
type Message struct {
	Body        []byte
	ContentType string
	GroupID     string // messages of a group are handled one after the other
	DedupID     string // sent again within the queue's dedupWindow, it is kept once
	Attributes  map[string]string

	// What a message that was taken knows besides.
	ID           string // the same in every attempt
	ReceiveCount int    // 1 in the first attempt
	Sent         time.Time

	// Delay is for sending: how long the message waits; 0 is the queue's own delay, less than 0 none at all.
	Delay time.Duration
}

var errNoBatch = errors.New("execgate: the event has no messages of a queue")

// Messages returns what an event from a queue brings. Their bodies share the memory of the event's.
func (r *Request) Messages() ([]*Message, error) {
	if r.Header("Queue-Message-Id") != "" { // `batch: 1`: the event is the message
		return []*Message{r.message()}, nil
	}
	if r.Trigger != TriggerQueue {
		return nil, errNoBatch
	}
	var messages []*Message
	for rest := r.Body; len(rest) > 0; {
		var one Request
		var err error
		if rest, err = one.readMessage(rest); err != nil {
			return nil, err
		}
		if one.Header("Queue-Message-Id") == "" {
			return nil, errNoBatch
		}
		messages = append(messages, one.message())
	}
	return messages, nil
}

func (r *Request) message() *Message {
	m := &Message{Body: r.Body, ContentType: r.Header("Content-Type"), ID: r.Header("Queue-Message-Id")}
	m.GroupID, _ = url.QueryUnescape(r.Header("Queue-Group-Id"))
	m.DedupID, _ = url.QueryUnescape(r.Header("Queue-Dedup-Id"))
	m.ReceiveCount, _ = strconv.Atoi(r.Header("Queue-Receive-Count"))
	if ms, err := strconv.ParseInt(r.Header("Queue-Sent"), 10, 64); err == nil {
		m.Sent = time.UnixMilli(ms)
	}
	attributes, _ := url.ParseQuery(r.Header("Queue-Attributes"))
	m.Attributes = make(map[string]string, len(attributes))
	for name := range attributes {
		m.Attributes[name] = attributes.Get(name)
	}
	return m
}

// Failures is the answer to an event from a queue that names the messages that failed; all others have succeeded. The
// trigger needs `reportFailures: true`: without it an answer is success, whatever it says.
func Failures(ids ...string) *Response {
	type item struct {
		ID string `json:"itemIdentifier"`
	}
	failed := struct {
		Items []item `json:"batchItemFailures"`
	}{make([]item, 0, len(ids))}
	for _, id := range ids {
		failed.Items = append(failed.Items, item{id})
	}
	body, _ := json.Marshal(failed) // texts are always JSON
	return &Response{ContentType: "application/json", Body: body}
}

// EachMessage handles the messages of an event one after the other. Those whose error is not nil come again, the others
// are done: with `batch` above 1 the trigger needs `reportFailures: true` for that.
//
// An error may be one of [RetryAfter] or [NoRetry]. Of several messages nobody could say which was meant, so each
// first comes again alone, and is asked then. A panic fails all messages of the event.
func EachMessage(f func(ctx context.Context, m *Message) error) Handler {
	return HandlerFunc(func(ctx context.Context, req *Request) (*Response, error) {
		messages, err := req.Messages()
		if err != nil {
			return nil, err
		}
		var failed []string
		for _, m := range messages {
			if err = f(ctx, m); err == nil {
				continue
			}
			if len(messages) == 1 {
				return nil, err
			}
			req.logf("execgate: message %s: %s: %v", m.ID, errorType(err), err)
			failed = append(failed, m.ID)
		}
		return Failures(failed...), nil
	})
}

// again is an error that says when the messages of the event come again.
type again struct {
	error
	when string
}

func (a *again) Unwrap() error { return a.error }

// RetryAfter makes err say that the messages of the event come again after d, and not after the queue's policy.
func RetryAfter(err error, d time.Duration) error {
	return &again{err, milliseconds(d)}
}

// NoRetry makes err say that the message shall not come again: it goes to the queue's dead letters at once. The other
// messages of the event come again, one by one.
func NoRetry(err error) error {
	return &again{err, "false"}
}

// retryOf is what an error says about that, "" for nothing.
func retryOf(err error) string {
	var said *again
	if errors.As(err, &said) {
		return said.when
	}
	return ""
}

func milliseconds(d time.Duration) string {
	if d < 0 {
		d = 0
	}
	return fmt.Sprintf("%dms", d.Milliseconds())
}

// kindOf names an error's Go type, of what [RetryAfter] wraps.
func kindOf(err error) string {
	var said *again
	for errors.As(err, &said) {
		err = said.error
	}
	return strings.TrimLeft(fmt.Sprintf("%T", err), "*")
}
