// Counters over the AWS Lambda runtime API, with the standard library only.
//
//	GET /counters          all of them       POST /counters/{name}    adds 1, or ?by=N
//	GET /counters/{name}   one               DELETE /counters/{name}  204
//
// The loop in serve is all that the protocol asks for: take an event, answer it by its id. The event is an API Gateway
// payload of version 2.0, so a handler function written for Lambda's HTTP APIs works here as it is.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"strconv"
	"sync"
)

type event struct {
	RouteKey       string            `json:"routeKey"`
	RawPath        string            `json:"rawPath"`
	Query          map[string]string `json:"queryStringParameters"`
	PathParameters map[string]string `json:"pathParameters"`
	RequestContext struct {
		HTTP struct {
			Method string `json:"method"`
		} `json:"http"`
	} `json:"requestContext"`
}

type answer struct {
	StatusCode int               `json:"statusCode"`
	Headers    map[string]string `json:"headers,omitempty"`
	Body       string            `json:"body,omitempty"`
}

// The counters live in this process; the mutex is for the concurrent loops of main.
type counters struct {
	mutex  sync.Mutex
	values map[string]int64
}

func jsonAnswer(status int, value any) (answer, error) {
	text, err := json.Marshal(value)
	headers := map[string]string{"content-type": "application/json"}
	return answer{StatusCode: status, Headers: headers, Body: string(text) + "\n"}, err
}

func (c *counters) handle(e event) (answer, error) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	name, named := e.PathParameters["name"]
	if !named {
		return jsonAnswer(http.StatusOK, c.values)
	}
	switch e.RequestContext.HTTP.Method {
	case http.MethodPost:
		return c.add(name, e.Query["by"])
	case http.MethodDelete:
		delete(c.values, name)
		return answer{StatusCode: http.StatusNoContent}, nil
	}
	value, known := c.values[name]
	if !known {
		return jsonAnswer(http.StatusNotFound, map[string]string{"title": "There is no such counter"})
	}
	return jsonAnswer(http.StatusOK, map[string]int64{name: value})
}

func (c *counters) add(name, by string) (answer, error) {
	step := int64(1)
	if by != "" {
		parsed, err := strconv.ParseInt(by, 10, 64)
		if err != nil {
			return jsonAnswer(http.StatusBadRequest, map[string]string{"title": "by is not a number"})
		}
		step = parsed
	}
	c.values[name] += step
	return jsonAnswer(http.StatusOK, map[string]int64{name: c.values[name]})
}

// runtime is the client's side of the AWS Lambda runtime API.
type runtime struct {
	base   string
	client http.Client // no timeout: next waits as long as it takes
}

func (r *runtime) next() (id string, payload []byte, err error) {
	reply, err := r.client.Get(r.base + "/next")
	if err != nil {
		return "", nil, err
	}
	defer reply.Body.Close()
	payload, err = io.ReadAll(reply.Body)
	if err == nil && reply.StatusCode != http.StatusOK {
		err = fmt.Errorf("next answered %s: %s", reply.Status, payload)
	}
	return reply.Header.Get("Lambda-Runtime-Aws-Request-Id"), payload, err
}

func (r *runtime) post(id, kind string, value any) error {
	body, err := json.Marshal(value)
	if err != nil {
		return err
	}
	reply, err := r.client.Post(r.base+"/"+id+"/"+kind, "application/json", bytes.NewReader(body))
	if err != nil {
		return err
	}
	defer reply.Body.Close()
	text, err := io.ReadAll(reply.Body) // to the end, or the connection is not used again
	if err == nil && reply.StatusCode != http.StatusAccepted {
		log.Printf("the answer was refused: %s: %s", reply.Status, text)
	}
	return err
}

func (r *runtime) serve(c *counters) error {
	for {
		id, payload, err := r.next()
		if err != nil {
			return err
		}
		var e event
		var result answer
		if err = json.Unmarshal(payload, &e); err == nil {
			result, err = c.handle(e)
		}
		if err != nil {
			err = r.post(id, "error", map[string]string{"errorType": "Function.Failed", "errorMessage": err.Error()})
		} else {
			err = r.post(id, "response", result)
		}
		if err != nil {
			return err
		}
	}
}

func main() {
	log.SetFlags(0)
	api := os.Getenv("AWS_LAMBDA_RUNTIME_API")
	if api == "" {
		log.Fatal("AWS_LAMBDA_RUNTIME_API is not set; does execgate run this?")
	}
	// The variable is there only when the process may hold several events: then that many loops ask for them.
	loops, err := strconv.Atoi(os.Getenv("AWS_LAMBDA_MAX_CONCURRENCY"))
	if err != nil || loops < 1 {
		loops = 1
	}
	r := &runtime{base: "http://" + api + "/2018-06-01/runtime/invocation"}
	r.client.Transport = &http.Transport{MaxIdleConnsPerHost: loops}
	c := &counters{values: map[string]int64{}}
	ended := make(chan error)
	for i := 0; i < loops; i++ {
		go func() { ended <- r.serve(c) }()
	}
	// The gateway ends a process by closing its connections.
	if err := <-ended; !errors.Is(err, io.EOF) {
		log.Fatal(err)
	}
}
