package main

import (
	"context"
	"errors"
	"fmt"

	"execgate.example/execgate"
)

// rooms is what test_sdk_websocket.py asks of a handler.
func rooms(ctx context.Context, req *execgate.Request) (*execgate.Response, error) {
	if req.Trigger == execgate.TriggerWebSocket {
		return execgate.Text(200, fmt.Sprint("groups ", len(req.Groups()), " ", req.Groups(), " of ", req.Connection())), nil
	}
	if req.Parameter("what") == "hold" {
		return execgate.EventStream("data: hello\n\n", execgate.Group(req.Query().Get("group")), "others"), nil
	}
	query, body := req.Query(), string(req.Body)
	text, err := did(ctx, req.Parameter("what"), execgate.Connection(query.Get("id")), execgate.Group(query.Get("group")), body)
	if errors.Is(err, execgate.ErrGone) {
		text, err = "gone", nil
	}
	return execgate.Text(200, text), err
}

func did(ctx context.Context, what string, c execgate.Connection, g execgate.Group, body string) (string, error) {
	sent, err := 0, error(nil)
	switch what {
	case "send":
		err = c.Send(ctx, body)
	case "send-bytes":
		err = c.SendBytes(ctx, []byte(body))
	case "close":
		err = c.Close(ctx, 4321, body)
	case "show":
		info, err := c.Show(ctx)
		return fmt.Sprint(info.Path, " ", len(info.Groups)), err
	case "join":
		err = g.Join(ctx, c)
	case "leave":
		err = g.Leave(ctx, c)
	case "all":
		sent, err = g.Send(ctx, body, c)
	case "all-bytes":
		sent, err = g.SendBytes(ctx, []byte(body), c)
	case "size":
		sent, err = g.Size(ctx)
	case "members":
		members, err := g.Members(ctx, 2)
		text := ""
		for _, m := range members {
			text += string(m.ID) + " "
		}
		return text, err
	}
	return fmt.Sprint("done ", sent), err
}
