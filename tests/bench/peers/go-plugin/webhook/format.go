// Package webhook is plugins/webhook in Go: the same input, the same checks, the
// same output.
package webhook

import (
	"encoding/json"
	"fmt"
	"sort"
	"strings"
)

type event struct {
	ID          string      `json:"id"`
	Type        string      `json:"type"`
	Time        string      `json:"time"`
	Application *string     `json:"application"`
	Environment *string     `json:"environment"`
	Data        interface{} `json:"data"`
}

type config struct {
	URL     string            `json:"url"`
	Headers map[string]string `json:"headers"`
	Events  []string          `json:"events"`
}

type payload struct {
	Type      string      `json:"type"`
	Timestamp string      `json:"timestamp"`
	Data      payloadData `json:"data"`
}

type payloadData struct {
	ID          string      `json:"id"`
	Application *string     `json:"application"`
	Environment *string     `json:"environment"`
	Detail      interface{} `json:"detail"`
}

// Header of a request.
type Header struct{ Name, Value string }

// Request for the host to send.
type Request struct {
	Method  string
	URL     string
	Headers []Header
	Body    []byte
	Thread  string
}

// Format makes one POST of an event.
func Format(eventText, configText []byte) ([]Request, error) {
	var event event
	if err := json.Unmarshal(eventText, &event); err != nil {
		return nil, err
	}
	var config config
	if err := json.Unmarshal(configText, &config); err != nil {
		return nil, err
	}
	if !strings.HasPrefix(config.URL, "https://") && !strings.HasPrefix(config.URL, "http://") {
		return nil, fmt.Errorf("url: an http or https URL")
	}
	if !wanted(config.Events, event.Type) {
		return nil, nil
	}
	body, err := json.Marshal(payload{
		Type:      event.Type,
		Timestamp: event.Time,
		Data: payloadData{
			ID:          event.ID,
			Application: event.Application,
			Environment: event.Environment,
			Detail:      event.Data,
		},
	})
	if err != nil {
		return nil, err
	}
	request := Request{
		Method:  "POST",
		URL:     config.URL,
		Headers: []Header{{Name: "content-type", Value: "application/json"}},
		Body:    body,
	}
	for name, value := range config.Headers {
		if strings.HasPrefix(strings.ToLower(name), "webhook-") {
			return nil, fmt.Errorf("headers: the host sets %s", name)
		}
		request.Headers = append(request.Headers, Header{Name: name, Value: value})
	}
	sort.Slice(request.Headers, func(i, j int) bool {
		return request.Headers[i].Name < request.Headers[j].Name
	})
	if event.Application != nil && event.Environment != nil {
		request.Thread = *event.Application + "/" + *event.Environment
	}
	return []Request{request}, nil
}

func wanted(patterns []string, event string) bool {
	if patterns == nil {
		return true
	}
	for _, pattern := range patterns {
		prefix := strings.TrimSuffix(pattern, "*")
		if event == pattern || prefix != pattern && strings.HasPrefix(event, prefix) {
			return true
		}
	}
	return false
}
