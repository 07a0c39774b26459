package execgatetest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"execgate.example/execgate"
)

// Posted is a message that a handler has sent.
type Posted struct {
	Queue      string
	WithAnswer bool // by [execgate.SendWithAnswer]
	execgate.Message
}

// Messages is an event of a queue with these messages. Those without an ID are given one, those without a ReceiveCount
// come for the first time.
func Messages(queue string, messages ...execgate.Message) Event {
	var body bytes.Buffer
	for _, m := range messages {
		writeMessage(&body, queue, m)
	}
	return Event{Trigger: execgate.TriggerQueue, Method: "POST", Target: "/queue/" + queue, Route: "queue " + queue,
		Header: http.Header{"Content-Type": {"application/http"}}, Body: body.String()}
}

func writeMessage(out *bytes.Buffer, queue string, m execgate.Message) {
	if m.ReceiveCount == 0 {
		m.ReceiveCount = 1
	}
	if m.Sent.IsZero() {
		m.Sent = time.Now()
	}
	attributes := url.Values{}
	for name, value := range m.Attributes {
		attributes.Set(name, value)
	}
	fmt.Fprintf(out, "POST /queue/%s HTTP/1.1\r\nQueue-Message-Id: %s\r\nQueue-Receive-Count: %d\r\nQueue-Sent: %d\r\n",
		queue, or(m.ID, newID()), m.ReceiveCount, m.Sent.UnixMilli())
	for _, f := range []execgate.Field{{Name: "Queue-Group-Id", Value: url.QueryEscape(m.GroupID)}, {Name: "Queue-Dedup-Id", Value: url.QueryEscape(m.DedupID)},
		{Name: "Queue-Attributes", Value: attributes.Encode()}, {Name: "Content-Type", Value: m.ContentType}} {
		if f.Value != "" {
			fmt.Fprintf(out, "%s: %s\r\n", f.Name, f.Value)
		}
	}
	fmt.Fprintf(out, "Content-Length: %d\r\n\r\n%s", len(m.Body), m.Body)
}

// outbox is what a handler has sent; what goes with an answer waits for it.
type outbox struct {
	kept []Posted
	held map[string][]Posted
}

func (o *outbox) take(queue, invocation string, messages []execgate.Message) []execgate.Receipt {
	var receipts []execgate.Receipt
	for _, m := range messages {
		if invocation != "" {
			o.held[invocation] = append(o.held[invocation], Posted{queue, true, m})
			continue
		}
		receipt := execgate.Receipt{ID: o.duplicateOf(queue, m.DedupID)}
		receipt.Duplicate = receipt.ID != ""
		if !receipt.Duplicate {
			m.ID = newID()
			receipt.ID = m.ID
			o.kept = append(o.kept, Posted{queue, false, m})
		}
		receipts = append(receipts, receipt)
	}
	return receipts
}

func (o *outbox) duplicateOf(queue, id string) string {
	for _, p := range o.kept {
		if id != "" && p.Queue == queue && p.DedupID == id {
			return p.ID
		}
	}
	return ""
}

// settle sends or forgets what went with an answer.
func (o *outbox) settle(invocation string, succeeded bool) {
	if succeeded {
		o.kept = append(o.kept, o.held[invocation]...)
	}
	delete(o.held, invocation)
}

// Posted is what the handler has sent so far: at once, and with answers that were successes.
func (g *Gateway) Posted() []Posted {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	return append([]Posted(nil), g.outbox.kept...)
}

// RefuseSends makes every further send fail with this status; 0 accepts again.
func (g *Gateway) RefuseSends(status int) {
	g.change(func() { g.refusal = status })
}

// StallSends makes every further send wait for an answer that never comes.
func (g *Gateway) StallSends() {
	g.change(func() { g.stalled = true })
}

func (g *Gateway) post(w http.ResponseWriter, r *http.Request, queue string) {
	messages, err := readList(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	invocation, receipts, status, stalled := r.Header.Get("Execgate-Invocation-Id"), []execgate.Receipt(nil), 0, false
	g.change(func() {
		status, stalled = g.refusal, g.stalled
		if invocation != "" && g.held[invocation] == nil {
			status = http.StatusNotFound
		}
		if status == 0 && !stalled {
			receipts = g.outbox.take(queue, invocation, messages)
		}
	})
	if stalled {
		<-r.Context().Done()
		return
	}
	if status != 0 {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(status)
		fmt.Fprintf(w, `{"status":%d,"title":%q,"detail":"as the test says"}`, status, http.StatusText(status))
		return
	}
	w.WriteHeader(http.StatusAccepted)
	json.NewEncoder(w).Encode(map[string]any{"messages": receipts})
}

func readList(r *http.Request) ([]execgate.Message, error) {
	var list struct {
		Messages []struct {
			Body                                 []byte `json:"bodyBase64"`
			ContentType, Delay, GroupID, DedupID string
			Attributes                           map[string]string
		}
	}
	if kind := r.Header.Get("Content-Type"); !strings.HasSuffix(kind, "execgate.messages+json") {
		return nil, fmt.Errorf("messages of the type %q", kind)
	}
	if err := json.NewDecoder(r.Body).Decode(&list); err != nil {
		return nil, err
	}
	var messages []execgate.Message
	for _, m := range list.Messages {
		delay, err := time.ParseDuration(or(m.Delay, "0s"))
		if err != nil {
			return nil, err
		}
		messages = append(messages, execgate.Message{Body: m.Body, ContentType: m.ContentType, GroupID: m.GroupID, DedupID: m.DedupID, Attributes: m.Attributes, Delay: delay})
	}
	return messages, nil
}
