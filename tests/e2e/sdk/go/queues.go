package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"execgate.example/execgate"
)

// tell writes a line that the tests look for.
func tell(format string, args ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", args...)
}

func take(_ context.Context, m *execgate.Message) error {
	colour, ok := m.Attributes["colour"]
	if !ok {
		colour = "none"
	}
	tell("took %s attempt %d group %s colour %s", m.Body, m.ReceiveCount, m.GroupID, colour)
	switch {
	case string(m.Body) == "bad" && m.ReceiveCount == 1:
		return &execgate.Error{Type: "Bad", Message: "the first time"}
	case string(m.Body) == "later":
		return execgate.RetryAfter(&execgate.Error{Type: "Later", Message: "not yet"}, 24*time.Hour)
	case string(m.Body) == "never":
		return execgate.NoRetry(&execgate.Error{Type: "Never", Message: "for good"})
	}
	return nil
}

func made(body string) execgate.Message {
	return execgate.Message{Body: []byte(body), ContentType: "text/plain", GroupID: "g h", Attributes: map[string]string{"colour": "dark blue"}}
}

func send(ctx context.Context, body string) (*execgate.Response, error) {
	second := made("second")
	second.DedupID = "d" + body
	receipts, err := execgate.Send(ctx, "orders", made(body), second)
	if err != nil {
		return nil, err
	}
	again, err := execgate.Send(ctx, "orders", second)
	if err != nil {
		return nil, err
	}
	if again[0].Duplicate && again[0].ID == receipts[1].ID {
		return execgate.Text(200, "sent"), nil
	}
	return nil, errors.New("not known again")
}

func sendWithAnswer(ctx context.Context, what string) (*execgate.Response, error) {
	if err := execgate.SendWithAnswer(ctx, "orders", made("one of "+what), made("two of "+what)); err != nil {
		return nil, err
	}
	if what == "fails" {
		return nil, errors.New("after all")
	}
	return execgate.Text(200, "held"), nil
}

// queues is what test_sdk_queues.py asks.
var queues = execgate.Triggers{
	"queue": execgate.EachMessage(take),
	"schedule": execgate.HandlerFunc(func(_ context.Context, req *execgate.Request) (*execgate.Response, error) {
		tell("scheduled %d", req.ScheduledTime.Unix())
		return nil, nil
	}),
	"http": execgate.HandlerFunc(func(ctx context.Context, req *execgate.Request) (*execgate.Response, error) {
		switch what := req.Parameter("what"); what {
		case "send":
			return send(ctx, string(req.Body))
		case "nowhere":
			_, err := execgate.Send(ctx, "nowhere", made("x"))
			return nil, err
		default:
			return sendWithAnswer(ctx, what)
		}
	}),
}
