package metrics

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
	"strconv"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Limits on what a peer can hold open or request.
const (
	maxConnections = 32
	maxHeader      = 16 << 10
	maxBody        = 64 << 10
	headerTimeout  = 5 * time.Second
	readTimeout    = 10 * time.Second
	idleTimeout    = time.Minute
	writeTimeout   = 2 * time.Minute // the longest profile
)

// Server serves HTTP requests on a port of the loopback interface.
type Server struct {
	parts    Parts
	log      hclog.Logger
	listener net.Listener
	runtime  *prometheus.Registry // metrics of the process
	requests sync.RWMutex         // read-locked by each request; locked for good at the end
}

// Listen opens the port; 0 selects a free one. Serve handles its requests.
func Listen(port int, parts Parts, log hclog.Logger) (*Server, error) {
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return nil, fmt.Errorf("metrics: %w", err)
	}
	s := &Server{parts: parts, log: log, listener: &limited{Listener: l, slots: make(chan struct{}, maxConnections)}, runtime: prometheus.NewRegistry()}
	for _, c := range []prometheus.Collector{
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	} {
		if err := s.runtime.Register(c); err != nil {
			_ = l.Close()
			return nil, fmt.Errorf("metrics: %w", err)
		}
	}
	log.Info("metrics on http://"+l.Addr().String()+"/metrics", "health", "/healthz", "profiles", "/debug/pprof/")
	return s, nil
}

// Serve handles requests until ctx ends, and returns when all requests have ended.
func (s *Server) Serve(ctx context.Context) {
	server := &http.Server{
		Handler:           s.guard(s.routes()),
		ReadTimeout:       readTimeout,
		ReadHeaderTimeout: headerTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ErrorLog:          s.log.StandardLogger(&hclog.StandardLoggerOptions{ForceLevel: hclog.Debug}),
	}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() }) // no request is worth waiting for
	defer stop()
	if err := server.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
		s.log.Error("the metrics server has failed; the controller continues without it", "error", err)
	}
	s.requests.Lock()
}

func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metrics", s.metrics)
	mux.HandleFunc("GET /healthz", s.health)
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("POST /debug/pprof/symbol", pprof.Symbol)
	return mux
}

// guard limits the size of requests, and refuses those that name another host: a web
// page can make a browser send them here.
func (s *Server) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !s.requests.TryRLock() {
			return // the server is shutting down
		}
		defer s.requests.RUnlock()
		if !local(r.Host) {
			http.Error(w, "only programs on this machine may use this server: use the host name localhost", http.StatusForbidden)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		next.ServeHTTP(w, r)
	})
}

// local reports whether a Host header names the loopback interface.
func local(host string) bool {
	name, _, err := net.SplitHostPort(host)
	if err != nil {
		name = host
	}
	ip := net.ParseIP(name)
	return name == "localhost" || ip != nil && ip.IsLoopback()
}

func (s *Server) metrics(w http.ResponseWriter, r *http.Request) {
	ours := prometheus.NewRegistry()
	if err := ours.Register(&scrape{ctx: r.Context(), parts: s.parts}); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	promhttp.HandlerFor(prometheus.Gatherers{ours, s.runtime}, promhttp.HandlerOpts{}).ServeHTTP(w, r)
}

// health responds with 200 when hub and scheduler respond in time, and otherwise with
// 503 and the names of those that do not.
func (s *Server) health(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), replyTimeout)
	defer cancel()
	_, err := s.parts.Tasks(ctx)
	if err = errors.Join(err, s.parts.ProbeHub(ctx)); err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write([]byte("ok\n")) // the peer may have disconnected
}

// limited is a listener that closes connections at once when all slots are taken, so
// that peers can't use up the file descriptors that the controller needs.
type limited struct {
	net.Listener
	slots chan struct{}
}

// Accept implements net.Listener.
func (l *limited) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		select {
		case l.slots <- struct{}{}:
			return &limitedConn{Conn: c, release: sync.OnceFunc(func() { <-l.slots })}, nil
		default:
			_ = c.Close()
		}
	}
}

type limitedConn struct {
	net.Conn
	release func()
}

// Close implements net.Conn.
func (c *limitedConn) Close() error {
	defer c.release()
	return c.Conn.Close()
}
