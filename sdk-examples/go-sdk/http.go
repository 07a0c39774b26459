package execgate

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/url"
)

// A body that grows beyond this is streamed from there on.
const gathered = 256 << 10

// HTTP makes a net/http handler a [Handler]: routers and middleware work as they are. What is written is gathered and
// sent with the other answers; a Flush, or much of it, makes it a stream. [FromContext] of the request's context has
// what net/http has no place for: claims, the route, its parameters.
func HTTP(h http.Handler) Handler {
	return HandlerFunc(func(ctx context.Context, req *Request) (*Response, error) {
		w := &responseWriter{call: req.call, header: http.Header{}}
		h.ServeHTTP(w, httpRequest(ctx, req))
		return w.finish()
	})
}

func httpRequest(ctx context.Context, req *Request) *http.Request {
	target, err := url.ParseRequestURI(req.Target)
	if err != nil {
		target = &url.URL{Path: req.Path, RawQuery: req.RawQuery}
	}
	header := req.Headers()
	header.Del("Host")
	r := &http.Request{
		Method: req.Method, URL: target, RequestURI: req.Target, Host: req.Host, Header: header,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Body: io.NopCloser(bytes.NewReader(req.Body)), ContentLength: int64(len(req.Body)),
	}
	if len(req.Body) == 0 {
		r.Body = http.NoBody
	}
	if req.ClientAddress != "" {
		r.RemoteAddr = net.JoinHostPort(req.ClientAddress, "0") // the port is not told
	}
	return r.WithContext(ctx)
}

// responseWriter is an http.ResponseWriter and http.Flusher.
type responseWriter struct {
	call   *call
	header http.Header
	sent   http.Header // as it was when the status was written
	status int
	body   []byte
	stream *stream
	err    error
}

func (w *responseWriter) Header() http.Header { return w.header }

// WriteHeader takes the first final status; interim ones (1xx) have nowhere to go.
func (w *responseWriter) WriteHeader(status int) {
	if w.status != 0 || status >= 100 && status < 200 {
		return
	}
	w.status = status
	w.sent = w.header.Clone()
}

func (w *responseWriter) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	if w.status == http.StatusNoContent || w.status == http.StatusNotModified {
		return 0, http.ErrBodyNotAllowed
	}
	if w.stream != nil {
		return w.stream.Write(p)
	}
	w.body = append(w.body, p...)
	if len(w.body) > gathered && w.call != nil {
		w.begin()
	}
	return len(p), w.err
}

func (w *responseWriter) WriteString(s string) (int, error) { return w.Write([]byte(s)) }

// Flush sends what was written so far; without a gateway there is nowhere to send it to yet.
func (w *responseWriter) Flush() {
	w.WriteHeader(http.StatusOK)
	if w.stream == nil && w.call != nil {
		w.begin()
	}
}

func (w *responseWriter) begin() {
	if w.err == nil {
		w.stream, w.err = w.call.begin(w.response())
		w.body = nil
	}
}

func (w *responseWriter) response() *Response {
	if w.sent.Get("Content-Type") == "" && len(w.body) > 0 && !isSet(w.sent, "Content-Type") {
		w.sent.Set("Content-Type", http.DetectContentType(w.body))
	}
	return &Response{Status: w.status, Header: w.sent, Body: w.body}
}

// isSet is true also of a field that was set to nothing, which is how net/http is told not to guess.
func isSet(h http.Header, name string) bool {
	_, set := h[name]
	return set
}

func (w *responseWriter) finish() (*Response, error) {
	w.WriteHeader(http.StatusOK)
	if w.err != nil || w.stream != nil {
		return nil, w.err
	}
	return w.response(), nil
}
