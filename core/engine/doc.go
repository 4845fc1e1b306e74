// Package engine is the native engine: it registers with a controller, keeps
// its heart beating, queues and answers requests, and publishes output. The
// user's code runs in a Python process beside it (package worker), so none of
// this ever waits for that code.
//
// # Connections
//
//	registration  DEALER           registration_request, unregistration_request
//	mux, task,    one ROUTER       execute_request, apply_request and the
//	broadcast                      Jupyter shell requests, queued
//	control       ROUTER           answered at once, but for clear_request
//	iopub         PUB              status, output, results on display, errors
//	hb_ping       SUB              each ping goes back unchanged on
//	hb_pong       DEALER
//
// All but the SUB have the engine's uuid as identity. The heart starts when
// the other connections stand, so that an engine which is announced can be
// reached on all of them.
//
// # Requests
//
// One request runs at a time, in order of arrival. Requests that are aborted
// while they wait are answered at once. A queue holds what clients send: its
// memory is theirs to bound; beyond Options.QueueBytes or QueueLength a
// request gets an EngineError reply.
//
// # Death
//
// When the worker dies, the request that was running gets an EngineError that
// names the cause, and a new worker goes on with the queue under the same
// engine id. The namespace is lost, which a line on stderr says. When the
// engine dies, its worker dies with it. Processes that user code started end
// with the worker unless they left its process group (setsid, setpgid).
//
// When the controller is gone the engine tries to reconnect until
// MaxHeartbeatMisses heartbeats in a row have not come (50 periods of 3.5 s by
// default), and then ends. A controller that is shut down by a client has its
// engines end at once, by shutdown_request.
package engine
