package main

import (
	"context"
	"log"

	"execgate.example/execgate"
)

// handle is called for many events at once. Its context ends at the deadline, and when nobody waits any more. A
// net/http handler would be served by execgate.ServeHTTP.
func handle(ctx context.Context, req *execgate.Request) (*execgate.Response, error) {
	if name := req.Parameter("name"); name != "" {
		return execgate.Text(200, "Hello, "+name+"!\n"), nil
	}
	return execgate.Text(200, "This is @NAME@. Try /hello/you\n"), nil
}

func main() {
	if err := execgate.Handle(handle); err != nil {
		log.Fatal(err)
	}
}
