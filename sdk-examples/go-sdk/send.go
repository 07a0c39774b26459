package execgate

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"time"
)

// How long a send may take when its context has no deadline.
const sendPatience = time.Minute

// Receipt is what the queue says of a message that was sent.
type Receipt struct {
	ID        string `json:"messageId"`
	Duplicate bool   `json:"duplicate"` // nothing was kept: ID is that of the first one with this DedupID
}

// SendError is a queue's refusal: Status 404 for a queue that is not in the blueprint, 400 and 413 for messages that it
// does not take, 503 when they could not be kept.
type SendError struct {
	Queue  string
	Status int
	Detail string
}

func (e *SendError) Error() string {
	return fmt.Sprintf("the queue %s answered %d: %s", e.Queue, e.Status, e.Detail)
}

// SendFunc stands in for the gateway in tests; see [WithSender]. The invocation is "" unless the messages go with its
// answer.
type SendFunc func(queue, invocation string, messages []Message) ([]Receipt, error)

type senderKey struct{}

// WithSender returns a context whose [Send] and [SendWithAnswer] call f. It is for tests.
func WithSender(parent context.Context, f SendFunc) context.Context {
	return context.WithValue(parent, senderKey{}, f)
}

// Send puts messages into a queue of the blueprint, all of them or none; at most 1000. They are on disk when it returns.
// It gives up when the context ends, so with the context of an event at its deadline. Nothing is known then, nor when
// the connection is lost: a sender who wants to be sure sends again with the same DedupID.
func Send(ctx context.Context, queue string, messages ...Message) ([]Receipt, error) {
	return post(ctx, queue, "", messages)
}

// SendWithAnswer sends messages together with the answer to the event of this context: when the handler has succeeded
// they are put on disk, in one transaction with all else that was sent so, and only then its answer counts. When the
// handler fails, nothing is sent.
func SendWithAnswer(ctx context.Context, queue string, messages ...Message) error {
	event, ok := FromContext(ctx)
	if !ok {
		return fmt.Errorf("execgate: the context is of no event, so there is no answer to send messages to %s with", queue)
	}
	_, err := post(ctx, queue, event.ID, messages)
	return err
}

func post(ctx context.Context, queue, invocation string, messages []Message) ([]Receipt, error) {
	if len(messages) == 0 {
		return nil, nil
	}
	if f, ok := ctx.Value(senderKey{}).(SendFunc); ok {
		return f(queue, invocation, messages)
	}
	body, err := json.Marshal(map[string]any{"messages": outgoing(messages)})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, sendPatience)
	defer cancel()
	r, err := addressOf(ctx).post(ctx, queue, invocation, body)
	if err != nil {
		return nil, err
	}
	return receipts(queue, r)
}

// addressOf is the gateway of the context's event, else that of the environment.
func addressOf(ctx context.Context) address {
	if event, ok := FromContext(ctx); ok && event.call != nil {
		return event.call.client.at
	}
	return environment()
}

func environment() address {
	return address{os.Getenv("EXECGATE_RUNTIME_SOCKET"), os.Getenv("EXECGATE_RUNTIME_API")}
}

type listed struct {
	Body        []byte            `json:"bodyBase64"`
	ContentType string            `json:"contentType,omitempty"`
	Delay       string            `json:"delay,omitempty"`
	GroupID     string            `json:"groupId,omitempty"`
	DedupID     string            `json:"dedupId,omitempty"`
	Attributes  map[string]string `json:"attributes,omitempty"`
}

func outgoing(messages []Message) []listed {
	list := make([]listed, 0, len(messages))
	for _, m := range messages {
		one := listed{append([]byte{}, m.Body...), m.ContentType, "", m.GroupID, m.DedupID, m.Attributes}
		if m.Delay != 0 {
			one.Delay = milliseconds(m.Delay)
		}
		list = append(list, one)
	}
	return list
}

func (a address) post(ctx context.Context, queue, invocation string, body []byte) (reply, error) {
	head := fmt.Sprintf("POST /v1/queues/%s/messages HTTP/1.1\r\nHost: execgate\r\nContent-Type: application/vnd.execgate.messages+json\r\n", url.PathEscape(queue))
	if invocation != "" {
		head += "Execgate-Invocation-Id: " + invocation + "\r\n"
	}
	r, sent, err := a.call(ctx, head, body)
	if err != nil && sent {
		err = fmt.Errorf("execgate: it is not known whether the queue %s has the messages: %w", queue, err)
	} else if err != nil {
		err = fmt.Errorf("execgate: the queue %s cannot be reached: %w", queue, err)
	}
	return r, err
}

// call uses a connection of its own, which ends with the context; sent says whether there was one. The head lacks the
// length of the body, and its end.
func (a address) call(ctx context.Context, head string, body []byte) (r reply, sent bool, err error) {
	w, err := a.openWithin(ctx)
	if err != nil && ctx.Err() != nil {
		err = ctx.Err() // a dialer calls it a timeout of its own
	}
	if err != nil {
		return r, false, err
	}
	done := make(chan struct{})
	defer close(done)
	defer w.close()
	go func() {
		select {
		case <-ctx.Done():
			w.close()
		case <-done:
		}
	}()
	parts := net.Buffers{[]byte(head + fmt.Sprintf("Content-Length: %d\r\n\r\n", len(body))), body}
	if _, err = parts.WriteTo(w.conn); err == nil {
		r, err = w.readReply()
	}
	if err != nil && ctx.Err() != nil {
		err = ctx.Err()
	}
	return r, true, err
}

func receipts(queue string, r reply) ([]Receipt, error) {
	if r.status != http.StatusAccepted {
		return nil, &SendError{queue, r.status, detailOf(r.body)}
	}
	var kept struct{ Messages []Receipt }
	err := json.Unmarshal(r.body, &kept)
	return kept.Messages, err
}

// detailOf is what a problem of the gateway's (RFC 9457) says.
func detailOf(body []byte) string {
	var problem struct{ Title, Detail string }
	if json.Unmarshal(body, &problem) != nil {
		return string(body)
	}
	if problem.Detail == "" {
		return problem.Title
	}
	return problem.Detail
}
