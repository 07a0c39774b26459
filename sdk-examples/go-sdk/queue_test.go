package execgate_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"execgate.example/execgate"
	"execgate.example/execgate/execgatetest"
)

type message = execgate.Message

var errBad = errors.New("this one is bad")

// bad fails messages by what they say.
func bad(_ context.Context, m *message) error {
	switch string(m.Body) {
	case "bad":
		return errBad
	case "later":
		return execgate.RetryAfter(&execgate.Error{Type: "NotYet", Message: "come again"}, 90*time.Second)
	case "never":
		return fmt.Errorf("as it is: %w", execgate.NoRetry(errBad))
	}
	return nil
}

func TestEverythingOfAMessage(t *testing.T) {
	seen := make(chan *message, 3)
	g := execgatetest.Start(t, execgate.EachMessage(func(_ context.Context, m *message) error {
		seen <- m
		return nil
	}), 1)
	whole := message{Body: []byte("a\r\n\r\nPOST / HTTP/1.1\r\n\x00"), ContentType: "text/plain", GroupID: "a b&c", DedupID: "é", ID: "id-1", ReceiveCount: 3,
		Sent: time.UnixMilli(1795251281712), Attributes: map[string]string{"colour": "dark blue", "a=b": "c&d"}}
	a := g.Call(execgatetest.Messages("orders", whole, message{}, message{Body: []byte("last")}))
	if a.Status != 200 || a.Body != `{"batchItemFailures":[]}` {
		t.Fatalf("%+v", a)
	}
	if first := <-seen; !reflect.DeepEqual(*first, whole) {
		t.Errorf("got  %+v\nwant %+v", *first, whole)
	}
	if second, third := <-seen, <-seen; len(second.Body) != 0 || string(third.Body) != "last" || third.ReceiveCount != 1 || second.ID == third.ID {
		t.Errorf("%+v %+v", second, third)
	}
}

func TestAnEventThatIsItsOnlyMessage(t *testing.T) {
	batch, _ := execgatetest.Messages("orders", message{Body: []byte("x"), ID: "7", GroupID: "g"}).Request()
	one := "POST /queue/orders HTTP/1.1\r\nExecgate-Invocation-Id: i\r\nExecgate-Trigger: queue\r\n" + strings.SplitN(string(batch.Body), "\r\n", 2)[1]
	event, _, err := execgate.ReadRequest([]byte(one))
	if err != nil {
		t.Fatal(err)
	}
	messages, err := event.Messages()
	if err != nil || len(messages) != 1 || messages[0].ID != "7" || messages[0].GroupID != "g" || string(messages[0].Body) != "x" {
		t.Errorf("%v %+v", err, messages)
	}
}

func TestWhatHasNoMessages(t *testing.T) {
	for _, e := range []event{{}, {Trigger: "queue", Body: "nonsense"}, {Trigger: "queue", Body: "GET / HTTP/1.1\r\n\r\n"}, {Trigger: "queue", Body: "POST / HTTP/1.1\r\nQueue-Message-Id: 1\r\nContent-Length: 9\r\n\r\nx"}} {
		if a, err := execgatetest.Call(execgate.EachMessage(bad), e); err == nil {
			t.Errorf("%+v: %+v", e, a)
		}
	}
}

func TestMessagesFailOneByOne(t *testing.T) {
	g := execgatetest.Start(t, execgate.EachMessage(bad), 1)
	batch := func(bodies ...string) *execgatetest.Answer {
		var all []message
		for _, body := range bodies {
			all = append(all, message{ID: "id-" + body, Body: []byte(body)})
		}
		return g.Call(execgatetest.Messages("orders", all...))
	}
	if a := batch("good", "bad", "never", "fine"); a.Failure != "" || a.Body != `{"batchItemFailures":[{"itemIdentifier":"id-bad"},{"itemIdentifier":"id-never"}]}` {
		t.Errorf("%+v", a)
	}
	for body, want := range map[string]string{"bad": "Error ", "later": "NotYet 90000ms", "never": "Error false"} {
		if a := batch(body); a.Failure+" "+a.Header.Get("Execgate-Retry") != want {
			t.Errorf("%s: %+v", body, a)
		}
	}
}

func TestSending(t *testing.T) {
	sent := []message{{Body: []byte("\x00\xff\""), ContentType: "text/plain", GroupID: "g", DedupID: "d \"", Attributes: map[string]string{"a": "b\n"}, Delay: 90 * time.Second}, {}}
	g := execgatetest.Start(t, handler(func(ctx context.Context, r *request) (*response, error) {
		receipts, err := execgate.Send(ctx, "orders", sent...)
		if err != nil {
			return nil, err
		}
		again, err := execgate.Send(ctx, "orders", sent[0])
		return execgate.Text(200, fmt.Sprint(len(receipts), again[0].Duplicate, again[0].ID == receipts[0].ID, receipts[1].Duplicate)), err
	}), 1)
	if a := g.Call(event{}); a.Body != "2 true true false" {
		t.Fatalf("%+v", a)
	}
	posted := g.Posted()
	if len(posted) != 2 || posted[0].Queue != "orders" || posted[0].WithAnswer {
		t.Fatalf("%+v", posted)
	}
	posted[0].ID = ""
	if !reflect.DeepEqual(posted[0].Message, sent[0]) {
		t.Errorf("got  %+v\nwant %+v", posted[0].Message, sent[0])
	}
	g.RefuseSends(413)
	if a := g.Call(event{}); a.Failure != "execgate.SendError" || !strings.Contains(a.Body, "orders answered 413: as the test says") {
		t.Errorf("%+v", a)
	}
}

func TestSendingWithTheAnswer(t *testing.T) {
	h := handler(func(ctx context.Context, r *request) (*response, error) {
		if err := execgate.SendWithAnswer(ctx, "orders", message{Body: r.Body}, message{Body: []byte("second")}); err != nil {
			return nil, err
		}
		if string(r.Body) == "fails" {
			return nil, errBad
		}
		return nil, nil
	})
	g := execgatetest.Start(t, h, 1)
	if a := g.Call(event{Body: "fails"}); a.Failure == "" || len(g.Posted()) != 0 {
		t.Errorf("%+v %+v", a, g.Posted())
	}
	if a := g.Call(event{Body: "first"}); a.Status != 200 || len(g.Posted()) != 2 || string(g.Posted()[0].Body) != "first" {
		t.Errorf("%+v %+v", a, g.Posted())
	}
	a, err := execgatetest.Call(h, event{Body: "a direct call"})
	if err != nil || len(a.Posted) != 2 || !a.Posted[0].WithAnswer || string(a.Posted[0].Body) != "a direct call" {
		t.Errorf("%v %+v", err, a)
	}
	if err := execgate.SendWithAnswer(context.Background(), "orders", message{}); err == nil {
		t.Error("there is no answer to send it with")
	}
}

func TestASendEndsAtTheDeadline(t *testing.T) {
	g := execgatetest.Start(t, handler(func(ctx context.Context, r *request) (*response, error) {
		_, err := execgate.Send(ctx, "orders", message{})
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
		return execgate.Text(200, "gave up"), nil
	}), 1)
	g.StallSends()
	if a := g.Call(event{Timeout: 50 * time.Millisecond}); a.Body != "gave up" {
		t.Errorf("%+v", a)
	}
}

func TestTheTimeOfASchedule(t *testing.T) {
	g := execgatetest.Start(t, handler(func(_ context.Context, r *request) (*response, error) {
		return execgate.Text(200, fmt.Sprint(r.ScheduledTime.Unix())), nil
	}), 1)
	if a := g.Call(event{Trigger: "schedule", Header: map[string][]string{"Execgate-Scheduled-Time": {"2026-03-29T01:00:00Z"}}}); a.Body != "1774746000" {
		t.Errorf("%+v", a)
	}
}
