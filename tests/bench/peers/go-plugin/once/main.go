// One call per process: the event on standard input, the configuration as the
// first argument, the requests on standard output.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"

	"bench/webhook"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run() error {
	event, err := io.ReadAll(os.Stdin)
	if err != nil {
		return err
	}
	requests, err := webhook.Format(event, []byte(os.Args[1]))
	if err != nil {
		return err
	}
	answers := []answer{}
	for _, request := range requests {
		answers = append(answers, answer{
			request.Method, request.URL, request.Headers, string(request.Body), request.Thread,
		})
	}
	return json.NewEncoder(os.Stdout).Encode(answers)
}

type answer struct {
	Method  string           `json:"method"`
	URL     string           `json:"url"`
	Headers []webhook.Header `json:"headers"`
	Body    string           `json:"body"`
	Thread  string           `json:"thread"`
}
