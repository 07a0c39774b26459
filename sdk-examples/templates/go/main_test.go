package main

import (
	"testing"

	"execgate.example/execgate"
	"execgate.example/execgate/execgatetest"
)

func TestHello(t *testing.T) {
	event := execgatetest.Event{Target: "/hello/you", Parameters: map[string]string{"name": "you"}}
	answer, err := execgatetest.Call(execgate.HandlerFunc(handle), event)
	if err != nil || answer.Status != 200 || answer.Body != "Hello, you!\n" {
		t.Errorf("%+v %v", answer, err)
	}
}
