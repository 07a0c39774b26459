package execgate_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"execgate.example/execgate"
	"execgate.example/execgate/execgatetest"
)

// room joins, leaves, tells and asks, as the message says.
func room(ctx context.Context, req *execgate.Request) (*execgate.Response, error) {
	tea, here := execgate.Group("a / tea"), req.Connection()
	switch word, rest, _ := strings.Cut(string(req.Body), " "); word {
	case "join":
		if err := tea.Join(ctx, here); err != nil {
			return nil, err
		}
		_, err := tea.Send(ctx, "came", here)
		return nil, err
	case "leave":
		return nil, tea.Leave(ctx, here)
	case "bytes":
		sent, err := tea.SendBytes(ctx, []byte(rest), "")
		return execgate.Text(200, fmt.Sprint(sent)), err
	case "to":
		return nil, execgate.Connection(rest).Send(ctx, "psst")
	case "close":
		return nil, execgate.Connection(rest).Close(ctx, 4000, "go & rest")
	case "who":
		members, err := tea.Members(ctx, 2)
		if err != nil {
			return nil, err
		}
		size, err := tea.Size(ctx)
		return execgate.Text(200, fmt.Sprintf("%d %s %v", size, members[0].ID, members[0].Claims["sub"])), err
	}
	info, err := here.Show(ctx)
	return execgate.Text(200, fmt.Sprint(info.Groups, req.Groups())), err
}

func said(message string, groups ...execgate.Group) execgatetest.Event {
	e := execgatetest.WebSocket("$default", message, groups...)
	e.Claims = map[string]any{"sub": "me"}
	e.Others = []execgate.ConnectionInfo{{ID: "c-2", Claims: map[string]any{"sub": "ada"}, Groups: []execgate.Group{"a / tea"}}, {ID: "c-3"}}
	return e
}

// eachWay runs a case as a function call, and against the stand-in.
func eachWay(t *testing.T, e execgatetest.Event, check func(t *testing.T, a *execgatetest.Answer, pushed []execgatetest.Pushed)) {
	t.Helper()
	a, err := execgatetest.Call(execgate.HandlerFunc(room), e)
	if err != nil {
		t.Fatal(err)
	}
	check(t, a, a.Pushed)
	g := execgatetest.Start(t, execgate.HandlerFunc(room), 1)
	a = g.Call(e)
	check(t, a, g.Pushed())
}

func TestAGroupIsToldWhoCame(t *testing.T) {
	eachWay(t, said("join"), func(t *testing.T, a *execgatetest.Answer, pushed []execgatetest.Pushed) {
		if want := []execgatetest.Pushed{{Connection: "c-2", Text: "came"}}; !reflect.DeepEqual(pushed, want) {
			t.Errorf("%+v", pushed)
		}
	})
}

func TestBytesGoToAll(t *testing.T) {
	eachWay(t, said("bytes \xff", "a / tea"), func(t *testing.T, a *execgatetest.Answer, pushed []execgatetest.Pushed) {
		if a.Body != "2" || len(pushed) != 2 || pushed[1].Text != "\xff" || !pushed[1].Binary {
			t.Errorf("%+v %+v", a, pushed)
		}
	})
}

func TestAnyConnectionCanBeSentToAndClosed(t *testing.T) {
	eachWay(t, said("to c-3"), func(t *testing.T, a *execgatetest.Answer, pushed []execgatetest.Pushed) {
		if want := []execgatetest.Pushed{{Connection: "c-3", Text: "psst"}}; !reflect.DeepEqual(pushed, want) {
			t.Errorf("%+v", pushed)
		}
	})
	eachWay(t, said("close c-3"), func(t *testing.T, a *execgatetest.Answer, pushed []execgatetest.Pushed) {
		if want := []execgatetest.Pushed{{Connection: "c-3", Text: "go & rest", Closed: 4000}}; !reflect.DeepEqual(pushed, want) {
			t.Errorf("%+v", pushed)
		}
	})
}

func TestWhoIsThere(t *testing.T) {
	eachWay(t, said("who"), func(t *testing.T, a *execgatetest.Answer, _ []execgatetest.Pushed) {
		if a.Body != "1 c-2 ada" {
			t.Errorf("%+v", a)
		}
	})
	eachWay(t, said("show", "a / tea", "b,c"), func(t *testing.T, a *execgatetest.Answer, _ []execgatetest.Pushed) {
		if a.Body != "[a / tea b,c] [a / tea b,c]" {
			t.Errorf("%+v", a)
		}
	})
}

func TestNobodyIsThere(t *testing.T) {
	_, err := execgatetest.Call(execgate.HandlerFunc(room), said("to nobody"))
	var refused *execgate.CallError
	if !errors.Is(err, execgate.ErrGone) || !errors.As(err, &refused) || refused.Status != 410 {
		t.Error(err)
	}
	left := said("join")
	left.Header.Set("Execgate-Websocket-Route", "$disconnect")
	if _, err = execgatetest.Call(execgate.HandlerFunc(room), left); !errors.Is(err, execgate.ErrGone) {
		t.Error(err)
	}
	g := execgatetest.Start(t, execgate.HandlerFunc(room), 1)
	if a := g.Call(said("to nobody")); a.Failure == "" || !strings.Contains(a.Body, "410") {
		t.Errorf("%+v", a)
	}
}

func TestAGroupIsLeft(t *testing.T) {
	g := execgatetest.Start(t, execgate.HandlerFunc(room), 1)
	g.Call(said("leave", "a / tea"))
	if a := g.Call(execgatetest.Event{Trigger: "http", Body: "bytes x"}); a.Body != "1" {
		t.Errorf("%+v", a)
	}
}
