// The chat's door, on the SDK in ../../go-sdk: who may come in, and what is said of those who leave.
//
//	GET /, /chat.js, /chat.css    the page
//	GET /me                       who the token is of
//	$connect                      lets in whoever has a name
//	hello                         greets
//	$disconnect                   tells the rooms of the connection that it has left
package main

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"log"
	"net/http"
	"path"
	"strings"
	"unicode"
	"unicode/utf8"

	"execgate.example/execgate"
)

const longestName = 40

// The page is of this origin only, and nothing but the page runs in it.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

//go:embed page
var page embed.FS

func handle(ctx context.Context, req *execgate.Request) (*execgate.Response, error) {
	if req.Trigger != execgate.TriggerWebSocket {
		return serve(req)
	}
	name, err := nameOf(req)
	switch req.Header("Execgate-Websocket-Route") {
	case "$connect":
		return admit(err)
	case "$disconnect":
		return nil, farewell(ctx, req, name)
	}
	return execgate.JSON(http.StatusOK, news{Type: "hello", Seat: seatOf(req.Connection()), Name: name})
}

// news is what the page is told. A seat is a connection's name among people: the end of its id, too short to guess the
// rest by.
type news struct {
	Type string         `json:"type"`
	Room execgate.Group `json:"room,omitempty"`
	Seat string         `json:"seat"`
	Name string         `json:"name"`
}

func seatOf(c execgate.Connection) string {
	if len(c) < 8 {
		return string(c)
	}
	return string(c[len(c)-8:])
}

// admit answers a handshake: what is no 2xx is the client's answer.
func admit(err error) (*execgate.Response, error) {
	if err == nil {
		return nil, nil
	}
	return execgate.Text(http.StatusForbidden, err.Error()+"\n"), nil
}

// farewell tells every room that the connection was in. The room may be empty by now, which is no error.
func farewell(ctx context.Context, req *execgate.Request, name string) error {
	for _, room := range req.Groups() {
		text, err := json.Marshal(news{"left", room, seatOf(req.Connection()), name})
		if err != nil {
			return err
		}
		if _, err = room.Send(ctx, string(text), ""); err != nil {
			return err
		}
	}
	return nil
}

var errNoName = errors.New("the token has no name to chat under: a claim name, or sub, of 1 to 40 printable characters")

// nameOf is the claim name, or else the subject.
func nameOf(req *execgate.Request) (string, error) {
	claims, err := req.Claims()
	if err != nil {
		return "", err
	}
	name, ok := claims["name"].(string)
	if !ok {
		name, _ = claims["sub"].(string)
	}
	name = strings.TrimSpace(name)
	odd := strings.IndexFunc(name, func(c rune) bool { return !unicode.IsPrint(c) })
	if name == "" || odd >= 0 || utf8.RuneCountInString(name) > longestName {
		return "", errNoName
	}
	return name, nil
}

var types = map[string]string{".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8"}

func serve(req *execgate.Request) (*execgate.Response, error) {
	if req.Route == "GET /me" {
		name, err := nameOf(req)
		if err != nil {
			return admit(err)
		}
		return execgate.JSON(http.StatusOK, map[string]string{"name": name})
	}
	file := path.Base(req.Path)
	if req.Path == "/" {
		file = "index.html"
	}
	body, err := page.ReadFile("page/" + file)
	if err != nil {
		return execgate.Text(http.StatusNotFound, "There is no such page\n"), nil
	}
	header := http.Header{"Content-Security-Policy": {policy}, "Cache-Control": {"no-cache"}}
	return &execgate.Response{ContentType: types[path.Ext(file)], Header: header, Body: body}, nil
}

func main() {
	if err := execgate.Handle(handle); err != nil {
		log.Fatal(err)
	}
}
