// Short links, on the SDK in ../../go-sdk.
//
//	POST /links           {"url": "https://..."} in; 201 and a code out
//	GET  /links/{code}    the link and how often it was followed
//	GET  /{code}          302 to the URL
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

type service struct{ store *store }

func (s *service) handle(_ context.Context, req *execgate.Request) (*execgate.Response, error) {
	switch req.Route {
	case "POST /links":
		return s.create(req)
	case "GET /links/{code}":
		return s.show(req)
	}
	return s.follow(req)
}

func (s *service) create(req *execgate.Request) (*execgate.Response, error) {
	url := wantedURL(req.Body)
	if url == "" {
		return problem(http.StatusBadRequest, "Send an object with an http or https url of at most 2000 characters")
	}
	made, err := s.store.create(url)
	if err != nil {
		return nil, err
	}
	// An event "link created" would be sent to a queue here, once the link is safe and before the client hears of it.
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
	store, err := openStore(os.Getenv("LINKS_FILE"))
	if err == nil {
		err = execgate.Handle((&service{store}).handle)
	}
	if err != nil {
		log.Fatal(err)
	}
}
