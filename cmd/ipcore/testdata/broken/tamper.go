package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/ipcore/ipcore/sdk"
	pb "github.com/ipcore/ipcore/sdk/proto/launcher/v1"
)

// serveTampered serves the launcher without the sdk's Serve: calls go through a
// proxy that has the fault.
func serveTampered(info sdk.Info, launcher sdk.Factory) {
	inner, err := sdk.ServeTest(info, launcher, hclog.NewNullLogger())
	if err != nil {
		panic(err)
	}
	if len(os.Args) == 2 {
		_ = json.NewEncoder(os.Stdout).Encode(inner.Info)
		return
	}
	conn, err := grpc.NewClient("unix:"+inner.Address, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(sdk.MaxMessage), grpc.MaxCallSendMsgSize(sdk.MaxMessage)))
	if err != nil {
		panic(err)
	}
	// ServeTest has removed the host's variables from the environment.
	for _, kv := range given {
		name, value, _ := strings.Cut(kv, "=")
		_ = os.Setenv(name, value)
	}
	versions := map[int]plugin.PluginSet{1: {sdk.PluginName: nothing{}}}
	if fault == "claims" {
		versions[7] = versions[1]
	}
	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig: sdk.Handshake(), VersionedPlugins: versions, Logger: hclog.NewNullLogger(),
		TLSProvider: func() (*tls.Config, error) {
			if fault != "open" {
				return nil, nil // go-plugin verifies itself
			}
			dir := os.Getenv(sdk.EnvTLSDir)
			cert, err := tls.LoadX509KeyPair(filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"))
			return &tls.Config{Certificates: []tls.Certificate{cert}}, err
		},
		GRPCServer: func(opts []grpc.ServerOption) *grpc.Server {
			return grpc.NewServer(append(opts, grpc.MaxRecvMsgSize(sdk.MaxMessage), grpc.UnknownServiceHandler(func(_ any, s grpc.ServerStream) error { return pass(conn, s) }))...)
		},
	})
}

// given is the environment before the sdk has seen it.
var given = os.Environ()

// nothing is a plugin without a service.
type nothing struct{ plugin.NetRPCUnsupportedPlugin }

func (nothing) GRPCServer(*plugin.GRPCBroker, *grpc.Server) error { return nil }
func (nothing) GRPCClient(context.Context, *plugin.GRPCBroker, *grpc.ClientConn) (any, error) {
	return nil, nil
}

// pass forwards one call. An empty message keeps fields that it does not know, so it
// can carry any message.
func pass(conn *grpc.ClientConn, s grpc.ServerStream) error {
	method, _ := grpc.MethodFromServerStream(s)
	name := method[strings.LastIndex(method, "/")+1:]
	if !strings.HasPrefix(method, "/ipcore.launcher.v1.Launcher/") {
		return status.Error(codes.Unimplemented, method)
	}
	in := &emptypb.Empty{}
	if err := s.RecvMsg(in); err != nil {
		return err
	}
	switch {
	case fault == "clings" && name == "Detach", fault == "promises" && name == "Output":
		return s.SendMsg(&emptypb.Empty{})
	}
	out, err := conn.NewStream(s.Context(), &grpc.StreamDesc{ServerStreams: true}, method)
	if err == nil {
		err = out.SendMsg(in)
	}
	if err == nil {
		err = out.CloseSend()
	}
	for err == nil {
		answer := &emptypb.Empty{}
		if err = out.RecvMsg(answer); err != nil {
			break
		}
		err = s.SendMsg(answer)
		if fault == "stutters" && name == "Events" && isStopped(answer) {
			err = s.SendMsg(answer)
		}
	}
	if err == io.EOF {
		return nil
	}
	if fault == "vague" && status.Code(err) == codes.NotFound {
		return status.Error(codes.Unknown, "something went wrong")
	}
	return err
}

func isStopped(m *emptypb.Empty) bool {
	raw, err := proto.Marshal(m)
	var e pb.Event
	return err == nil && proto.Unmarshal(raw, &e) == nil && e.GetKind() == pb.EventKind_EVENT_KIND_STOPPED
}
