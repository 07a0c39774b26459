// Counters, on the SDK in ../go-sdk.
//
//	GET /counters          all of them       POST /counters/{name}    adds 1, or ?by=N
//	GET /counters/{name}   one               DELETE /counters/{name}  204
package main

import (
	"context"
	"log"
	"net/http"
	"strconv"
	"sync"

	"execgate.example/execgate"
)

// The counters live in this process. With `concurrency` in the blueprint events come many at once, hence the mutex.
type counters struct {
	mutex  sync.Mutex
	values map[string]int64
}

func (c *counters) handle(_ context.Context, req *execgate.Request) (*execgate.Response, error) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	name := req.Parameter("name")
	if name == "" {
		return execgate.JSON(http.StatusOK, c.values)
	}
	switch req.Method {
	case http.MethodPost:
		return c.add(name, req.Query().Get("by"))
	case http.MethodDelete:
		delete(c.values, name)
		return &execgate.Response{Status: http.StatusNoContent}, nil
	}
	value, known := c.values[name]
	if !known {
		return problem(http.StatusNotFound, "There is no such counter")
	}
	return execgate.JSON(http.StatusOK, map[string]int64{name: value})
}

func (c *counters) add(name, by string) (*execgate.Response, error) {
	step := int64(1)
	if by != "" {
		parsed, err := strconv.ParseInt(by, 10, 64)
		if err != nil {
			return problem(http.StatusBadRequest, "by is not a number")
		}
		step = parsed
	}
	c.values[name] += step
	return execgate.JSON(http.StatusOK, map[string]int64{name: c.values[name]})
}

func problem(status int, title string) (*execgate.Response, error) {
	return execgate.JSON(status, map[string]string{"title": title})
}

func main() {
	c := &counters{values: map[string]int64{}}
	if err := execgate.Handle(c.handle); err != nil {
		log.Fatal(err)
	}
}
