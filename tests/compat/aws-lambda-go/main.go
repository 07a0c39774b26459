// A handler on aws-lambda-go. Without arguments it is a plain handler; with "url" it is a net/http handler behind lambdaurl.
package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"
)

type request = events.APIGatewayV2HTTPRequest
type response = events.APIGatewayV2HTTPResponse

func echo(_ context.Context, r request) (response, error) {
	return response{StatusCode: 200, Headers: map[string]string{"Content-Type": "text/plain"}, Body: r.Body}, nil
}

func api(_ context.Context, r request) (response, error) {
	seen, err := json.Marshal(map[string]any{
		"method": r.RequestContext.HTTP.Method, "path": r.RawPath, "query": r.RawQueryString, "cookies": r.Cookies,
		"parameters": r.PathParameters, "color": r.Headers["x-color"], "body": r.Body,
	})
	return response{
		StatusCode: 201, Cookies: []string{"first=1; Path=/", "second=2"}, Body: string(seen),
		Headers: map[string]string{"Content-Type": "application/json", "X-Answer": "made by a handler"},
	}, err
}

func binary(_ context.Context, r request) (response, error) {
	data, err := base64.StdEncoding.DecodeString(r.Body)
	if err != nil || !r.IsBase64Encoded {
		return response{}, fmt.Errorf("the body is no base64 (%t): %w", r.IsBase64Encoded, err)
	}
	for i, j := 0, len(data)-1; i < j; i, j = i+1, j-1 {
		data[i], data[j] = data[j], data[i]
	}
	return response{
		StatusCode: 200, IsBase64Encoded: true, Body: base64.StdEncoding.EncodeToString(data),
		Headers: map[string]string{"Content-Type": "application/octet-stream"},
	}, nil
}

func refuse(context.Context, request) (response, error) {
	return response{}, errors.New("refused by the handler")
}

func panics(context.Context, request) (response, error) {
	panic("broken in the handler")
}

func exits(context.Context, request) (response, error) {
	fmt.Fprintln(os.Stderr, "last words")
	os.Exit(7)
	return response{}, nil
}

func late(ctx context.Context, _ request) (response, error) {
	deadline, _ := ctx.Deadline()
	fmt.Printf("left: %d ms\n", time.Until(deadline).Milliseconds())
	time.Sleep(time.Until(deadline) + time.Minute)
	return response{StatusCode: 200, Body: "too late"}, nil
}

// half is a body that breaks off.
type half struct{ rest *strings.Reader }

func (h half) Read(into []byte) (int, error) {
	if h.rest.Len() == 0 {
		return 0, errors.New("broke in the middle")
	}
	return h.rest.Read(into)
}

func breaks() *events.LambdaFunctionURLStreamingResponse {
	return &events.LambdaFunctionURLStreamingResponse{
		StatusCode: 202, Headers: map[string]string{"Content-Type": "text/plain"}, Body: half{strings.NewReader("early\n")},
	}
}

var behaviours = map[string]func(context.Context, request) (response, error){
	"echo": echo, "api": api, "binary": binary, "error": refuse, "panic": panics, "exit": exits, "timeout": late,
}

func handle(ctx context.Context, r request) (any, error) {
	if note := r.Headers["x-note"]; note != "" {
		fmt.Println("note:", note)
	}
	name := path.Base(r.RawPath)
	if f := behaviours[name]; f != nil {
		return f(ctx, r)
	}
	if name == "break" {
		return breaks(), nil
	}
	return response{StatusCode: 404}, nil
}

func main() {
	sigterm := lambda.WithEnableSIGTERM(func() {
		fmt.Println("SIGTERM seen")
		os.Exit(0)
	})
	if len(os.Args) > 1 && os.Args[1] == "url" {
		startURL(sigterm)
		return
	}
	lambda.StartWithOptions(handle, sigterm)
}
