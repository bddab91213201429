// The plugin's process.
package main

import (
	"bench/notifier"

	"github.com/hashicorp/go-plugin"
)

func main() {
	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig: notifier.Handshake,
		Plugins:         notifier.Plugins,
		GRPCServer:      plugin.DefaultGRPCServer,
	})
}
