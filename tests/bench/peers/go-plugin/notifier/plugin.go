// Package notifier is the contract, and both sides of its transport.
package notifier

import (
	"context"

	"bench/webhook"

	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
)

// Handshake is what both sides must know.
var Handshake = plugin.HandshakeConfig{
	ProtocolVersion:  1,
	MagicCookieKey:   "BENCH_PLUGIN",
	MagicCookieValue: "notifier",
}

// Plugins are those of both sides.
var Plugins = map[string]plugin.Plugin{"notifier": &grpcPlugin{}}

type grpcPlugin struct{ plugin.NetRPCUnsupportedPlugin }

func (*grpcPlugin) GRPCServer(_ *plugin.GRPCBroker, server *grpc.Server) error {
	RegisterNotifierServer(server, service{})
	return nil
}

func (*grpcPlugin) GRPCClient(
	_ context.Context, _ *plugin.GRPCBroker, connection *grpc.ClientConn,
) (interface{}, error) {
	return NewNotifierClient(connection), nil
}

type service struct{}

func (service) Format(_ context.Context, request *FormatRequest) (*FormatResponse, error) {
	requests, err := webhook.Format([]byte(request.Event), []byte(request.Config))
	if err != nil {
		return nil, err
	}
	response := &FormatResponse{}
	for _, request := range requests {
		message := &HttpRequest{
			Method: request.Method,
			Url:    request.URL,
			Body:   request.Body,
			Thread: request.Thread,
		}
		for _, header := range request.Headers {
			message.Headers = append(message.Headers, &Header{Name: header.Name, Value: header.Value})
		}
		response.Requests = append(response.Requests, message)
	}
	return response, nil
}

func (service) Echo(_ context.Context, request *Bytes) (*Bytes, error) {
	return &Bytes{Body: request.Body}, nil
}
