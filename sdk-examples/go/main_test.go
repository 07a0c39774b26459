package main

import (
	"testing"

	"execgate.example/execgate"
	"execgate.example/execgate/execgatetest"
)

func TestCountersAddUp(t *testing.T) {
	c := &counters{values: map[string]int64{}}
	visits := map[string]string{"name": "visits"}
	for _, step := range []struct{ method, target, body string }{
		{"POST", "/counters/visits", `{"visits":1}`},
		{"POST", "/counters/visits?by=41", `{"visits":42}`},
		{"POST", "/counters/visits?by=x", `{"title":"by is not a number"}`},
		{"GET", "/counters/visits", `{"visits":42}`},
	} {
		event := execgatetest.Event{Method: step.method, Target: step.target, Parameters: visits}
		answer, err := execgatetest.Call(execgate.HandlerFunc(c.handle), event)
		if err != nil || answer.Body != step.body+"\n" {
			t.Errorf("%s %s: %+v %v", step.method, step.target, answer, err)
		}
	}
}
