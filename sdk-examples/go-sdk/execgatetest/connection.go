package execgatetest

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"execgate.example/execgate"
)

// Pushed is what a handler has sent to a WebSocket connection.
type Pushed struct {
	Connection execgate.Connection
	Text       string
	Binary     bool
	Closed     int // the code, when it has closed it
}

// WebSocket is an event of the connection "c-1", which is in these groups. The route is "$connect", "$disconnect",
// "$default" or a name.
func WebSocket(route, message string, groups ...execgate.Group) Event {
	return Event{Trigger: execgate.TriggerWebSocket, Method: "POST", Target: "/websocket/ws/" + route, Route: "websocket /ws " + route, Body: message,
		Header: http.Header{"Execgate-Websocket-Route": {route}}, Connection: "c-1", Groups: groups}
}

func escapedList(groups []execgate.Group) string {
	var names []string
	for _, name := range groups {
		names = append(names, url.PathEscape(string(name)))
	}
	return strings.Join(names, ",")
}

// connections are those that are open, and what was sent to them.
type connections struct {
	open   []execgate.ConnectionInfo
	pushed []Pushed
}

// connections are those that an event names. One that has ended is not among them.
func (e Event) connections() *connections {
	var c connections
	c.add(e)
	return &c
}

func (c *connections) add(e Event) {
	ended := e.Header.Get("Execgate-Websocket-Route") == "$disconnect"
	for _, one := range append([]execgate.ConnectionInfo{{ID: e.Connection, Claims: e.Claims, Groups: e.Groups}}, e.Others...) {
		c.remove(one.ID)
		if one.ID != "" && (one.ID != e.Connection || !ended) {
			c.open = append(c.open, one)
		}
	}
}

func (c *connections) remove(id execgate.Connection) {
	for i := range c.open {
		if c.open[i].ID == id {
			c.open = append(c.open[:i:i], c.open[i+1:]...)
			return
		}
	}
}

func (c *connections) find(id string) *execgate.ConnectionInfo {
	for i := range c.open {
		if string(c.open[i].ID) == id {
			return &c.open[i]
		}
	}
	return nil
}

func (c *connections) in(group string) []execgate.ConnectionInfo {
	found := []execgate.ConnectionInfo{}
	for _, one := range c.open {
		if indexOf(one.Groups, group) >= 0 {
			found = append(found, one)
		}
	}
	return found
}

func indexOf(groups []execgate.Group, name string) int {
	for i, group := range groups {
		if string(group) == name {
			return i
		}
	}
	return -1
}

// serve answers a call as the gateway would.
func (c *connections) serve(r *http.Request) (int, []byte) {
	words := strings.Split(strings.Trim(r.URL.EscapedPath(), "/"), "/")[1:]
	for i := range words {
		words[i], _ = url.PathUnescape(words[i])
	}
	body, _ := io.ReadAll(r.Body)
	message := Pushed{Text: string(body), Binary: r.Header.Get("Content-Type") == "application/octet-stream"}
	switch {
	case words[0] == "groups" && len(words) == 2:
		return told(map[string]int{"connections": len(c.in(words[1]))})
	case words[0] == "groups":
		return c.broadcast(words[1], r.URL.Query().Get("except"), message)
	case len(words) == 1:
		return c.list(r.URL.Query())
	}
	one := c.find(words[1])
	if one == nil {
		return http.StatusGone, []byte(`{"status":410,"detail":"no connection of that id is open"}`)
	}
	if len(words) == 4 {
		return move(one, r.Method, words[3])
	}
	return c.single(one, r, message)
}

func told(v any) (int, []byte) {
	body, _ := json.Marshal(v)
	return http.StatusOK, body
}

func (c *connections) broadcast(group, except string, message Pushed) (int, []byte) {
	sent := 0
	for _, one := range c.in(group) {
		if string(one.ID) != except {
			message.Connection = one.ID
			c.pushed = append(c.pushed, message)
			sent++
		}
	}
	return told(map[string]int{"sent": sent})
}

func (c *connections) list(query url.Values) (int, []byte) {
	found := c.in(query.Get("group"))
	if limit, err := strconv.Atoi(query.Get("limit")); err == nil && limit < len(found) {
		found = found[:limit]
	}
	return told(map[string]any{"connections": found})
}

func (c *connections) single(one *execgate.ConnectionInfo, r *http.Request, message Pushed) (int, []byte) {
	if r.Method == http.MethodGet {
		return told(one)
	}
	message.Connection = one.ID
	if r.Method == http.MethodDelete {
		fmt.Sscan(r.URL.Query().Get("code"), &message.Closed)
		message.Text = r.URL.Query().Get("reason")
		c.remove(one.ID)
	}
	c.pushed = append(c.pushed, message)
	return http.StatusOK, nil
}

func move(one *execgate.ConnectionInfo, method, group string) (int, []byte) {
	at := indexOf(one.Groups, group)
	if method == http.MethodPut && at < 0 {
		one.Groups = append(one.Groups, execgate.Group(group))
	}
	if method == http.MethodDelete && at >= 0 {
		one.Groups = append(one.Groups[:at:at], one.Groups[at+1:]...)
	}
	return http.StatusNoContent, nil
}

// Pushed is what the handler has sent to connections so far.
func (g *Gateway) Pushed() []Pushed {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	return append([]Pushed(nil), g.open.pushed...)
}

func (g *Gateway) connected(w http.ResponseWriter, r *http.Request) {
	var status int
	var body []byte
	g.change(func() { status, body = g.open.serve(r) })
	if status != http.StatusNoContent {
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	}
	w.WriteHeader(status)
	w.Write(body)
}
