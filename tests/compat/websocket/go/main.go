// What Go's two WebSocket packages make of an echoing path: compat-websocket PACKAGE URL. The report is JSON on stdout.
package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/gorilla/websocket"
	xnet "golang.org/x/net/websocket"
)

const patience = 2 * time.Minute

type report struct {
	Echoed   int    `json:"echoed"`
	Extended bool   `json:"extended"`
	Pong     string `json:"pong"`
	Code     int    `json:"code"`
}

var sizes = []int{1, 125, 126, 127, 65535, 65536, 300000}

// Bytes that do not compress to nothing, and text of the same size.
func filler(size int) []byte {
	var out []byte
	for i := 0; len(out) < size; i++ {
		sum := sha256.Sum256(fmt.Append(nil, i))
		out = append(out, sum[:]...)
	}
	return out[:size]
}

func text(size int) []byte { return []byte(hex.EncodeToString(filler(size/2 + 1)))[:size] }

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func same(sent, got []byte) {
	if !bytes.Equal(sent, got) {
		must(fmt.Errorf("%d bytes came back as %d others", len(sent), len(got)))
	}
}

func gorillaEcho(c *websocket.Conn, kind int, message []byte) {
	must(c.WriteMessage(kind, message))
	gotKind, got, err := c.ReadMessage()
	must(err)
	if gotKind != kind {
		must(fmt.Errorf("kind %d came back as %d", kind, gotKind))
	}
	same(message, got)
}

func gorilla(url string, compress bool) report {
	dialer := websocket.Dialer{EnableCompression: compress, HandshakeTimeout: patience}
	c, response, err := dialer.Dial(url, nil)
	must(err)
	r := report{Extended: response.Header.Get("Sec-WebSocket-Extensions") != ""}
	must(c.SetReadDeadline(time.Now().Add(patience)))
	c.SetPongHandler(func(data string) error { r.Pong = data; return nil })
	must(c.WriteControl(websocket.PingMessage, []byte("are you there"), time.Now().Add(patience)))
	for _, size := range sizes {
		gorillaEcho(c, websocket.TextMessage, text(size))
		gorillaEcho(c, websocket.BinaryMessage, filler(size))
		r.Echoed += 2
	}
	must(c.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(4001, "done"), time.Now().Add(patience)))
	_, _, err = c.ReadMessage()
	if end, ok := err.(*websocket.CloseError); ok {
		r.Code = end.Code
	}
	return r
}

func standard(url string) report {
	c, err := xnet.Dial(url, "", "http://localhost/")
	must(err)
	c.MaxPayloadBytes = 1 << 20
	must(c.SetDeadline(time.Now().Add(patience)))
	r := report{}
	for _, size := range sizes {
		var got []byte
		var gotText string
		must(xnet.Message.Send(c, filler(size)))
		must(xnet.Message.Receive(c, &got))
		same(filler(size), got)
		must(xnet.Message.Send(c, string(text(size))))
		must(xnet.Message.Receive(c, &gotText))
		same(text(size), []byte(gotText))
		r.Echoed += 2
	}
	must(c.Close())
	return r
}

func main() {
	var r report
	switch os.Args[1] {
	case "gorilla":
		r = gorilla(os.Args[2], false)
	case "gorilla-deflate":
		r = gorilla(os.Args[2], true)
	case "x-net":
		r = standard(os.Args[2])
	}
	must(json.NewEncoder(os.Stdout).Encode(r))
}
