package execgate

import (
	"bytes"
	"encoding/json"
	"errors"
	"log"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// What an event can be: [Request.Trigger].
const (
	TriggerHTTP       = "http"
	TriggerAuthorizer = "authorizer" // a guard asks whether a request may pass; the client's request without its body
	TriggerInvoke     = "invoke"     // called by name: the body is the caller's bytes, and the answer's is the result
	TriggerQueue      = "queue"
	TriggerSchedule   = "schedule"
	TriggerWebSocket  = "websocket" // what happens on a connection: [Request.Connection], [Request.Groups]
)

// Field is one line of a head.
type Field struct{ Name, Value string }

// Request is an event. An event that no HTTP client sent is a request all the same: an invocation by name is
// "POST /invoke".
type Request struct {
	ID       string // of the invocation
	Trigger  string // one of the Trigger constants, or what a newer gateway knows
	Route    string // as the blueprint spells it: "GET /items/{id}"
	Method   string
	Target   string // as the client sent it: "/a%20b?x=1"
	Path     string // decoded: "/a b"
	RawQuery string // without the question mark
	Host     string
	Body     []byte
	Deadline time.Time // zero when there is none

	ScheduledTime time.Time // the moment that is meant, of an event of a schedule; else zero

	RequestID         string // what the client sees as X-Request-Id
	ClientAddress     string
	ClientCertificate string // the subject of a certificate that was verified (RFC 2253)
	Traceparent       string
	ClientContext     string // JSON, of an invocation by name

	Fields []Field // the client's own, in order, repeated ones kept

	claims     string
	parameters string
	call       *call // nil when nobody serves it: in a direct test
}

// Header returns the first value of a field, "" when there is none. Names match in any case.
func (r *Request) Header(name string) string {
	for i := range r.Fields {
		if len(r.Fields[i].Name) == len(name) && strings.EqualFold(r.Fields[i].Name, name) {
			return r.Fields[i].Value
		}
	}
	return ""
}

// Headers returns all fields in net/http's form.
func (r *Request) Headers() http.Header {
	h := make(http.Header, len(r.Fields))
	for _, f := range r.Fields {
		h.Add(f.Name, f.Value)
	}
	return h
}

// Query returns the query's parameters; malformed ones are left out.
func (r *Request) Query() url.Values {
	values, _ := url.ParseQuery(r.RawQuery)
	return values
}

// Parameter returns the decoded value of {name} or {name+} in the route, "" when the route has none of that name.
func (r *Request) Parameter(name string) string {
	values, _ := url.ParseQuery(r.parameters)
	return values.Get(name)
}

// Claims returns what is known of who sends the request, nil when the route has no guard.
func (r *Request) Claims() (map[string]any, error) {
	if r.claims == "" {
		return nil, nil
	}
	var claims map[string]any
	err := json.Unmarshal([]byte(r.claims), &claims)
	return claims, err
}

// logf writes where the program's own complaints about events go.
func (r *Request) logf(format string, args ...any) {
	if r.call == nil {
		log.Printf(format, args...)
		return
	}
	r.call.client.log.Printf(format, args...)
}

// JSON reads the body into v.
func (r *Request) JSON(v any) error {
	return json.Unmarshal(r.Body, v)
}

var errNoMessage = errors.New("execgate: the gateway sent an event that is no request message")

// ReadRequest reads the first request message of a pipeline and returns what follows it. The body shares the memory
// of the pipeline.
func ReadRequest(pipeline []byte) (r *Request, rest []byte, err error) {
	r = &Request{}
	rest, err = r.read(pipeline)
	return r, rest, err
}

func (r *Request) read(pipeline []byte) (rest []byte, err error) {
	rest, err = r.readMessage(pipeline)
	if err == nil && r.ID == "" {
		err = errNoMessage
	}
	return rest, err
}

func (r *Request) readMessage(pipeline []byte) (rest []byte, err error) {
	end := bytes.Index(pipeline, []byte("\r\n\r\n"))
	if end < 0 {
		return nil, errNoMessage
	}
	head, size := string(pipeline[:end]), 0
	rest = pipeline[end+4:]
	line, head, _ := strings.Cut(head, "\r\n")
	if err = r.readStart(line); err != nil {
		return nil, err
	}
	for head != "" {
		line, head, _ = strings.Cut(head, "\r\n")
		name, value, ok := strings.Cut(line, ":")
		if !ok || name == "" {
			return nil, errNoMessage
		}
		value = strings.TrimSpace(value)
		if err = r.take(name, value, &size); err != nil {
			return nil, err
		}
	}
	if size > len(rest) {
		return nil, errNoMessage
	}
	r.Body = rest[:size:size]
	return rest[size:], nil
}

func (r *Request) readStart(line string) error {
	method, rest, ok := strings.Cut(line, " ")
	target, _, more := strings.Cut(rest, " ")
	if !ok || !more {
		return errNoMessage
	}
	path, query, _ := strings.Cut(target, "?")
	r.Method, r.Target, r.Path, r.RawQuery = method, target, path, query
	if strings.IndexByte(path, '%') >= 0 {
		if decoded, err := url.PathUnescape(path); err == nil {
			r.Path = decoded
		}
	}
	return nil
}

// take sorts a field: the gateway's own become members, the client's stay fields.
func (r *Request) take(name, value string, size *int) (err error) {
	const own = "Execgate-"
	if len(name) > len(own) && strings.EqualFold(name[:len(own)], own) {
		return r.takeOwn(name[len(own):], value)
	}
	switch {
	case strings.EqualFold(name, "Content-Length"):
		*size, err = strconv.Atoi(value)
		if err != nil || *size < 0 {
			return errNoMessage
		}
	case strings.EqualFold(name, "Host"):
		r.Host = value
	case strings.EqualFold(name, "traceparent"):
		r.Traceparent = value
	}
	r.Fields = append(r.Fields, Field{name, value})
	return nil
}

func (r *Request) takeOwn(name, value string) error {
	switch name {
	case "Invocation-Id":
		r.ID = value
	case "Trigger":
		r.Trigger = value
	case "Route":
		r.Route = value
	case "Parameters":
		r.parameters = value
	case "Deadline":
		ms, err := strconv.ParseInt(value, 10, 64)
		if err != nil {
			return errNoMessage
		}
		r.Deadline = time.UnixMilli(ms)
	case "Scheduled-Time":
		at, err := time.Parse(time.RFC3339, value)
		if err != nil {
			return errNoMessage
		}
		r.ScheduledTime = at
	case "Client-Address":
		r.ClientAddress = value
	case "Client-Certificate":
		r.ClientCertificate = value
	case "Request-Id":
		r.RequestID = value
	case "Claims":
		r.claims = value
	case "Client-Context":
		r.ClientContext = value
	default:
		// Of a newer gateway: there for those who ask for it.
		r.Fields = append(r.Fields, Field{"Execgate-" + name, value})
	}
	return nil
}
