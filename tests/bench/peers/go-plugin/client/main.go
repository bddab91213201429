// The host's side of go-plugin, and its clock. Told on standard input what to
// measure, it answers with one line of nanoseconds, one number per call:
//
//	call N    N calls of the warm plugin with the event
//	echo N    N calls with the event's bytes, that nobody looks at
//	start N   N times: start the plugin, make the first call
package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"bench/notifier"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
)

func main() {
	if err := run(os.Args[1], os.Args[2], os.Args[3]); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

type host struct {
	program string
	event   map[string]interface{}
	config  map[string]interface{}
	bytes   []byte
}

func run(program, event, config string) error {
	host := &host{program: program}
	if err := json.Unmarshal([]byte(event), &host.event); err != nil {
		return err
	}
	if err := json.Unmarshal([]byte(config), &host.config); err != nil {
		return err
	}
	var err error
	if host.bytes, err = json.Marshal(host.event); err != nil {
		return err
	}
	process, client, err := host.start()
	if err != nil {
		return err
	}
	defer process.Kill()
	return serve(map[string]job{
		"call": func() (func(), error) { return nothing, host.call(client) },
		"echo": func() (func(), error) { return nothing, host.echo(client) },
		"start": func() (func(), error) {
			process, client, err := host.start()
			if err != nil {
				return nothing, err
			}
			return process.Kill, host.call(client)
		},
	})
}

// A job is what is measured; what it returns is done after the clock has stopped.
type job func() (func(), error)

func nothing() {}

// serve measures what is asked for until standard input ends.
func serve(jobs map[string]job) error {
	input := bufio.NewScanner(os.Stdin)
	for input.Scan() {
		var name string
		var count int
		if _, err := fmt.Sscanf(input.Text(), "%s %d", &name, &count); err != nil {
			return err
		}
		job, known := jobs[name]
		if !known {
			return fmt.Errorf("no job %s", name)
		}
		var line strings.Builder
		for i := 0; i < count; i++ {
			begun := time.Now()
			after, err := job()
			took := time.Since(begun)
			after()
			if err != nil {
				return err
			}
			fmt.Fprintf(&line, "%d ", took.Nanoseconds())
		}
		fmt.Println(line.String())
	}
	return input.Err()
}

func (host *host) start() (*plugin.Client, notifier.NotifierClient, error) {
	process := plugin.NewClient(&plugin.ClientConfig{
		HandshakeConfig:  notifier.Handshake,
		Plugins:          notifier.Plugins,
		Cmd:              exec.Command(host.program),
		AllowedProtocols: []plugin.Protocol{plugin.ProtocolGRPC},
		Logger:           hclog.New(&hclog.LoggerOptions{Level: hclog.Error, Output: os.Stderr}),
	})
	connection, err := process.Client()
	if err != nil {
		process.Kill()
		return nil, nil, err
	}
	client, err := connection.Dispense("notifier")
	if err != nil {
		process.Kill()
		return nil, nil, err
	}
	return process, client.(notifier.NotifierClient), nil
}

// call does what our host does: the event becomes a document, the plugin makes
// typed requests of it.
func (host *host) call(client notifier.NotifierClient) error {
	event, err := json.Marshal(host.event)
	if err != nil {
		return err
	}
	config, err := json.Marshal(host.config)
	if err != nil {
		return err
	}
	response, err := client.Format(context.Background(), &notifier.FormatRequest{
		Event: string(event), Config: string(config),
	})
	if err != nil {
		return err
	}
	if len(response.Requests) != 1 || len(response.Requests[0].Body) < len(event)/2 {
		return fmt.Errorf("not what was asked for: %v", response)
	}
	return nil
}

func (host *host) echo(client notifier.NotifierClient) error {
	response, err := client.Echo(context.Background(), &notifier.Bytes{Body: host.bytes})
	if err != nil {
		return err
	}
	if !bytes.Equal(response.Body, host.bytes) {
		return fmt.Errorf("the echo is another")
	}
	return nil
}
