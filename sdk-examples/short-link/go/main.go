// Short links, on the SDK in ../../go-sdk.
//
//	POST /links           {"url": "https://..."} in; 201 and a code out
//	GET  /links/{code}    the link and how often it was followed
//	GET  /{code}          302 to the URL
//	GET  /hosts           how many links lead to each host
//
// The counts are those of messages: each link that is made goes to the queue `created`, which a process of this program
// takes for itself.
package main

import (
	"context"
	"encoding/json"
	"log"
	"net/http"
	"os"
	"strings"

	"execgate.example/execgate"
)

const longest = 2000

type service struct{ store, hosts *store }

func (s *service) handlers() execgate.Handler {
	return execgate.Triggers{
		execgate.TriggerHTTP:  execgate.HandlerFunc(s.handle),
		execgate.TriggerQueue: execgate.EachMessage(s.count),
	}
}

func (s *service) handle(ctx context.Context, req *execgate.Request) (*execgate.Response, error) {
	switch req.Route {
	case "POST /links":
		return s.create(ctx, req)
	case "GET /hosts":
		return s.tally()
	case "GET /links/{code}":
		return s.show(req)
	}
	return s.follow(req)
}

func (s *service) create(ctx context.Context, req *execgate.Request) (*execgate.Response, error) {
	url := wantedURL(req.Body)
	if url == "" {
		return problem(http.StatusBadRequest, "Send an object with an http or https url of at most 2000 characters")
	}
	made, err := s.store.create(url)
	if err != nil {
		return nil, err
	}
	// The message is kept before the client hears of the link, and not at all when the client hears of a failure.
	message := execgate.Message{Body: []byte(url), ContentType: "text/plain", Attributes: map[string]string{"code": made.Code}}
	if err := execgate.SendWithAnswer(ctx, "created", message); err != nil {
		return nil, err
	}
	answer, err := execgate.JSON(http.StatusCreated, made)
	if err == nil {
		answer.Header = http.Header{"Location": {"/" + made.Code}}
	}
	return answer, err
}

func (s *service) show(req *execgate.Request) (*execgate.Response, error) {
	found, err := s.store.find(req.Parameter("code"))
	if err != nil || found == nil {
		return unknown(err)
	}
	return execgate.JSON(http.StatusOK, found)
}

// count may see a message twice: a link is counted once.
func (s *service) count(_ context.Context, m *execgate.Message) error {
	return s.hosts.count(m.Attributes["code"], hostOf(string(m.Body)))
}

func (s *service) tally() (*execgate.Response, error) {
	counts, err := s.hosts.tally()
	if err != nil {
		return nil, err
	}
	return execgate.JSON(http.StatusOK, counts)
}

func (s *service) follow(req *execgate.Request) (*execgate.Response, error) {
	find := s.store.follow
	if req.Method == http.MethodHead {
		find = s.store.find // who asks about a link does not follow it
	}
	found, err := find(req.Parameter("code"))
	if err != nil || found == nil {
		return unknown(err)
	}
	header := http.Header{"Location": {found.URL}, "Cache-Control": {"no-store"}} // each visit is to be counted
	return &execgate.Response{Status: http.StatusFound, Header: header}, nil
}

// wantedURL is the URL of a body that asks for a link, "" when it does not.
func wantedURL(body []byte) string {
	var wanted map[string]string
	if json.Unmarshal(body, &wanted) != nil || len(wanted) != 1 {
		return ""
	}
	url := wanted["url"]
	rest := strings.TrimPrefix(strings.TrimPrefix(url, "https://"), "http://")
	odd := strings.IndexFunc(url, func(c rune) bool { return c <= ' ' || c > '~' })
	if rest == url || rest == "" || len(url) > longest || odd >= 0 {
		return ""
	}
	return url
}

// hostOf is what stands between the scheme and the path, "-" when nothing does.
func hostOf(url string) string {
	_, rest, _ := strings.Cut(url, "://")
	if end := strings.IndexAny(rest, "/?#"); end >= 0 {
		rest = rest[:end]
	}
	if rest == "" {
		return "-"
	}
	return rest
}

func unknown(err error) (*execgate.Response, error) {
	if err != nil {
		return nil, err
	}
	return problem(http.StatusNotFound, "There is no such link")
}

func problem(status int, title string) (*execgate.Response, error) {
	answer, err := execgate.JSON(status, map[string]any{"status": status, "title": title})
	if err == nil {
		answer.ContentType = "application/problem+json"
	}
	return answer, err
}

func main() {
	s := &service{open("LINKS_FILE"), open("HOSTS_FILE")}
	if err := execgate.Serve(s.handlers()); err != nil {
		log.Fatal(err)
	}
}

// open opens the store that a variable names, nil without one: the process that counts has no use for links.
func open(variable string) *store {
	path := os.Getenv(variable)
	if path == "" {
		return nil
	}
	s, err := openStore(path)
	if err != nil {
		log.Fatal(err)
	}
	return s
}
