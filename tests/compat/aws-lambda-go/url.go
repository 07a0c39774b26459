package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdaurl"
)

func echoHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/plain")
	_, _ = io.Copy(w, r.Body)
}

func apiHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	event, _ := lambdaurl.RequestFromContext(r.Context())
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Answer", "made by a handler")
	http.SetCookie(w, &http.Cookie{Name: "first", Value: "1", Path: "/"})
	http.SetCookie(w, &http.Cookie{Name: "second", Value: "2"})
	w.WriteHeader(http.StatusCreated)
	fmt.Fprintf(w, `{"method":%q,"path":%q,"query":%q,"cookies":[%q,%q],"color":%q,"body":%q}`, r.Method, r.URL.EscapedPath(), r.URL.RawQuery,
		event.Cookies[0], event.Cookies[1], r.Header.Get("X-Color"), body)
}

func binaryHTTP(w http.ResponseWriter, r *http.Request) {
	data, _ := io.ReadAll(r.Body)
	slices.Reverse(data)
	w.Header().Set("Content-Type", "application/octet-stream")
	_, _ = w.Write(data)
}

// stream writes "early", waits until the file that the query names is there, and writes "late".
func stream(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/plain")
	w.Header().Set("Set-Cookie", "first=1")
	w.WriteHeader(http.StatusAccepted)
	_, _ = io.WriteString(w, "early\n")
	for {
		if _, err := os.Stat(r.URL.Query().Get("gate")); err == nil {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	_, _ = io.WriteString(w, "late\n")
}

func startURL(options ...lambda.Option) {
	mux := http.NewServeMux()
	for name, f := range map[string]http.HandlerFunc{
		"echo": echoHTTP, "api": apiHTTP, "binary": binaryHTTP, "stream": stream,
		"panic": func(http.ResponseWriter, *http.Request) { panic("broken in the handler") },
		"exit": func(http.ResponseWriter, *http.Request) {
			fmt.Fprintln(os.Stderr, "last words")
			os.Exit(7)
		},
		"timeout": func(_ http.ResponseWriter, r *http.Request) {
			deadline, _ := r.Context().Deadline()
			fmt.Printf("left: %d ms\n", time.Until(deadline).Milliseconds())
			time.Sleep(time.Until(deadline) + time.Minute)
		},
	} {
		mux.HandleFunc("/{pool}/"+name, f)
	}
	lambdaurl.Start(noting(mux), options...)
}

func noting(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if note := r.Header.Get("X-Note"); note != "" {
			fmt.Println("note:", note)
		}
		next.ServeHTTP(w, r)
	})
}
