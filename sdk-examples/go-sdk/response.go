package execgate

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// groupsField leaves an event stream to the gateway.
const groupsField = "Execgate-Groups"

// Response is an answer. The zero value is a 200 with an empty body.
type Response struct {
	Status      int    // 0 = 200
	ContentType string // for short; leave it out when Header has one
	Header      http.Header
	Body        []byte
	// Stream, when it is set, writes the body while it is made: each Write leaves at once and waits while the client is
	// slow. Body goes first. An error breaks the answer off. It runs after the handler has returned, and the
	// handler's context lasts until it is done.
	Stream func(w io.Writer) error
}

// Text is a response of plain text.
func Text(status int, text string) *Response {
	return &Response{Status: status, ContentType: "text/plain; charset=utf-8", Body: []byte(text)}
}

// JSON is a response of v as JSON; what cannot be JSON is the error.
func JSON(status int, v any) (*Response, error) {
	body, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return &Response{Status: status, ContentType: "application/json", Body: append(body, '\n')}, nil
}

// EventStream is a stream of server-sent events that goes on without the handler, in these groups, which must not be
// none; events, whole ones, are its beginning.
func EventStream(events string, groups ...Group) *Response {
	header := http.Header{}
	for _, g := range groups {
		header.Add(groupsField, url.PathEscape(string(g)))
	}
	return &Response{ContentType: "text/event-stream", Header: header, Body: []byte(events)}
}

// Error fails an event with a type of one's own, which the log and the client of an invocation by name see. The type is
// a name: letters, digits and "._:-$*".
type Error struct {
	Type    string
	Message string
}

func (e *Error) Error() string { return e.Message }

// errorType is the name under which an error is reported.
func errorType(err error) string {
	var own *Error
	if errors.As(err, &own) && isToken(own.Type) {
		return own.Type
	}
	name := kindOf(err)
	if strings.HasPrefix(name, "errors.") || strings.HasPrefix(name, "fmt.") || !isToken(name) {
		return "Error"
	}
	return name
}

// appendAnswer appends the answer's message to a pipeline.
func appendAnswer(out []byte, id string, r *Response) ([]byte, error) {
	if len(r.Body) == 0 || r.Status != http.StatusNoContent && r.Status != http.StatusNotModified {
		return appendMessage(out, id, r, r.Body)
	}
	return appendMessage(out, id, r, nil)
}

func appendMessage(out []byte, id string, r *Response, body []byte) ([]byte, error) {
	start := len(out)
	out, err := appendHead(out, id, r)
	if err != nil {
		return out[:start], err
	}
	out = append(out, "Content-Length: "...)
	out = strconv.AppendInt(out, int64(len(body)), 10)
	out = append(out, "\r\n\r\n"...)
	return append(out, body...), nil
}

// appendHead leaves the end of the head to the caller.
func appendHead(out []byte, id string, r *Response) ([]byte, error) {
	status := r.Status
	if status == 0 {
		status = http.StatusOK
	}
	if status < 200 || status > 599 {
		return out, &Error{"InvalidAnswer", fmt.Sprintf("the status %d is not one of 200 to 599", status)}
	}
	out = append(out, "HTTP/1.1 "...)
	out = strconv.AppendInt(out, int64(status), 10)
	out = append(out, " \r\nExecgate-Invocation-Id: "...)
	out = append(out, id...)
	out = append(out, "\r\n"...)
	var err error
	if r.ContentType != "" {
		if out, err = appendField(out, "Content-Type", r.ContentType); err != nil {
			return out, err
		}
	}
	for name, values := range r.Header {
		if isNotOurs(name) {
			continue
		}
		for _, value := range values {
			if out, err = appendField(out, name, value); err != nil {
				return out, err
			}
		}
	}
	return out, nil
}

func appendField(out []byte, name, value string) ([]byte, error) {
	if !isToken(name) || !isFieldValue(value) {
		return out, &Error{"InvalidAnswer", fmt.Sprintf("the field %q: %q is not valid", name, value)}
	}
	out = append(out, name...)
	out = append(out, ": "...)
	out = append(out, value...)
	return append(out, "\r\n"...), nil
}

// appendFailure appends an answer that reports a failure.
func appendFailure(out []byte, id string, failure error) []byte {
	text := failure.Error()
	out = append(out, "HTTP/1.1 500 \r\nExecgate-Invocation-Id: "...)
	out = append(out, id...)
	out = append(out, "\r\nExecgate-Error: "...)
	out = append(out, errorType(failure)...)
	if when := retryOf(failure); when != "" {
		out = append(out, "\r\nExecgate-Retry: "...)
		out = append(out, when...)
	}
	out = append(out, "\r\nContent-Length: "...)
	out = strconv.AppendInt(out, int64(len(text)), 10)
	out = append(out, "\r\n\r\n"...)
	return append(out, text...)
}

// isNotOurs tells the fields that are the gateway's to say.
func isNotOurs(name string) bool {
	if strings.EqualFold(name, "Content-Length") || strings.EqualFold(name, "Transfer-Encoding") {
		return true
	}
	return len(name) >= 9 && !strings.EqualFold(name, groupsField) && strings.EqualFold(name[:9], "Execgate-")
}

// isToken: RFC 9110 section 5.6.2.
func isToken(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		letter := 'a' <= c|0x20 && c|0x20 <= 'z'
		if !letter && (c < '0' || c > '9') && strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 {
			return false
		}
	}
	return s != ""
}

// isFieldValue: RFC 9110 section 5.5, no control characters but the tab.
func isFieldValue(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < ' ' && s[i] != '\t' || s[i] == 0x7f {
			return false
		}
	}
	return true
}
