package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/assay-attestation/assay/internal/config"
	"github.com/assay-attestation/assay/internal/server"
	"github.com/assay-attestation/assay/internal/servercert"
	"github.com/assay-attestation/assay/policy"
)

// Time limits of the listener. A body of attest_body bytes must fit into readTime on a slow line; writeTime begins with
// it, and leaves room for the collateral that the answer may have to wait for.
const (
	headerTime   = 10 * time.Second
	readTime     = 60 * time.Second
	writeTime    = 100 * time.Second
	idleTime     = 120 * time.Second
	shutdownTime = 10 * time.Second
)

// maxHeader bounds the header of a request in bytes.
const maxHeader = 32 << 10

// runServe runs the service until the context ends (native.md section 1.1).
func runServe(ctx context.Context, c *call) error {
	cfg, err := serveConfig(c)
	if err != nil {
		return err
	}
	s, err := start(cfg, c.env)
	if err != nil {
		return badFile(err) // whatever is wrong with the configuration, or with what it names
	}
	if err := c.announce(s); err != nil {
		return err
	}
	return s.run(ctx)
}

// serveConfig reads the configuration file, if any, and lays the flags over it.
func serveConfig(c *call) (config.Config, error) {
	var cfg config.Config
	file := c.String("config", "", "read the configuration from this YAML `FILE`")
	var flags config.Config
	c.StringVar(&flags.Listen, "listen", "", "`ADDR` to listen on; port 0 picks a free one (default "+config.DefaultListen+")")
	c.StringVar(&flags.URL, "url", "", "external `URL` of the default provider")
	c.StringVar(&flags.TLSCert, "tls-cert", "", "TLS certificate, PEM `FILE`")
	c.StringVar(&flags.TLSKey, "tls-key", "", "TLS key, PEM `FILE`")
	c.BoolVar(&flags.InsecureHTTP, "insecure-http", false, "serve plain HTTP on a loopback address, behind a proxy that ends TLS")
	c.StringVar(&flags.Data, "data", "", "`DIR` of keys and caches (default assay-data)")
	c.Func("collateral", "stored collateral, a `BUNDLE`; may be repeated (default: Intel's service, live)", func(s string) error {
		flags.Collateral = append(flags.Collateral, s)
		return nil
	})
	c.Func("policy", "policy of the default provider, as `TYPE=FILE`; may be repeated", func(s string) error {
		return addPolicy(&flags, s)
	})
	c.BoolVar(&flags.Dev, "dev", false, "development mode: trust simulated vendors; never for production")
	at := c.String("at", "", "with --dev: judge evidence and collateral at this `TIME`")
	if _, err := c.parse(); err != nil {
		return cfg, err
	}
	if *file != "" {
		var err error
		if cfg, err = config.Read(*file); err != nil {
			return cfg, badFile(err)
		}
	}
	if *at != "" {
		var err error
		if flags.At, err = c.time(*at); err != nil {
			return cfg, usage("--at %q: %w", *at, err)
		}
	}
	overlay(&cfg, flags, c.isSet)
	if err := cfg.Complete(); err != nil {
		return cfg, usage("%w", err)
	}
	return cfg, nil
}

func addPolicy(cfg *config.Config, s string) error {
	name, file, ok := strings.Cut(s, "=")
	if !ok {
		return errors.New("expected TYPE=FILE")
	}
	t, known := policy.ParseType(name)
	if !known {
		return fmt.Errorf("unknown attestation type, expected one of %s", policy.TypeNames)
	}
	cfg.SetPolicy(t, file)
	return nil
}

// overlay lets every flag that was given win over the configuration file; a policy, over that for the same type.
func overlay(cfg *config.Config, flags config.Config, given func(flag string) bool) {
	set := func(to *string, from string) {
		if from != "" {
			*to = from
		}
	}
	set(&cfg.Listen, flags.Listen)
	set(&cfg.URL, flags.URL)
	set(&cfg.TLSCert, flags.TLSCert)
	set(&cfg.TLSKey, flags.TLSKey)
	set(&cfg.Data, flags.Data)
	if given("insecure-http") {
		cfg.InsecureHTTP = flags.InsecureHTTP
	}
	if given("dev") {
		cfg.Dev = flags.Dev
	}
	if len(flags.Collateral) > 0 {
		cfg.Collateral = flags.Collateral
	}
	for t, file := range flags.Policies {
		cfg.SetPolicy(t, file)
	}
	if !flags.At.IsZero() {
		cfg.At = flags.At
	}
}

// running is a service with its listener.
type running struct {
	cfg      config.Config
	caFile   string // of the development CA, or empty
	listener net.Listener
	http     *http.Server
	service  *server.Server
	own      *listeners   // of providers that have one
	ops      *http.Server // for operators; nil: none
	opsAt    net.Listener
	tls      *tls.Config
	log      *slog.Logger
}

// start opens the listener and makes the service ready.
func start(cfg config.Config, e *env) (*running, error) {
	if err := os.MkdirAll(cfg.Data, 0o700); err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", cfg.Listen)
	if err != nil {
		return nil, err
	}
	r := &running{cfg: cfg, listener: listener, log: slog.New(slog.NewJSONHandler(e.stderr, nil))}
	if cfg.Dev && cfg.URL == "" {
		scheme := "https"
		if cfg.PlainHTTP() {
			scheme = "http"
		}
		r.cfg.URL = fmt.Sprintf("%s://localhost:%d", scheme, listener.Addr().(*net.TCPAddr).Port)
	}
	if err := r.prepare(e); err != nil {
		listener.Close()
		if r.service != nil {
			r.own.end()
			r.service.Close()
		}
		return nil, err
	}
	return r, nil
}

// prepare makes the service and its TLS configuration.
func (r *running) prepare(e *env) (err error) {
	opt := server.Options{Logger: r.log, Clock: e.now, Stdout: e.stdout}
	if r.cfg.Dev {
		if opt.Simulated, err = simulatedVendors(r.cfg, e.now); err != nil {
			return err
		}
		if err := simulatedGuests(&r.cfg.Settings.AzureSettings); err != nil {
			return err
		}
	}
	if err := r.secure(e); err != nil {
		return err
	}
	r.own = &listeners{make: r.httpServer, wrap: r.behindProxies, log: r.log}
	if r.listener, err = r.behindProxies(r.listener); err != nil {
		return err
	}
	opt.Listen = r.own.set
	if r.service, err = server.New(r.cfg, opt); err != nil {
		return err
	}
	r.http = r.httpServer(r.service)
	r.own.begin(r.service)
	return r.openOps()
}

// behindProxies lets the configured balancers say who their clients are.
func (r *running) behindProxies(l net.Listener) (net.Listener, error) {
	return behindProxies(l, r.cfg.ProxyProtocol)
}

// secure makes the TLS configuration of all listeners.
func (r *running) secure(e *env) (err error) {
	switch {
	case r.cfg.TLSCert != "":
		r.tls, err = servercert.Files(r.cfg.TLSCert, r.cfg.TLSKey, func(err error) {
			r.log.Warn("the TLS certificate has changed and cannot be used; the old one stays", "error", err)
		})
	case !r.cfg.PlainHTTP():
		r.tls, r.caFile, err = servercert.Development(r.cfg.Data, e.now())
	}
	if err != nil {
		return err
	}
	return withClientCAs(r.tls, r.cfg.ClientCA)
}

// httpServer makes the server of a listener.
func (r *running) httpServer(h http.Handler) *http.Server {
	s := &http.Server{
		Handler: r.partingly(h), ReadHeaderTimeout: headerTime, ReadTimeout: readTime, WriteTimeout: writeTime,
		IdleTimeout: idleTime, MaxHeaderBytes: maxHeader, ErrorLog: slog.NewLogLogger(r.log.Handler(), slog.LevelDebug),
	}
	if r.tls != nil {
		s.TLSConfig = r.tls.Clone()
	}
	return s
}

// openOps opens the listener for operators, if there is to be one.
func (r *running) openOps() (err error) {
	if r.cfg.OpsListen == "" {
		return nil
	}
	h, err := r.service.Ops()
	if err != nil {
		return err
	}
	r.ops = &http.Server{Handler: h, ReadHeaderTimeout: headerTime, ReadTimeout: readTime, WriteTimeout: writeTime, MaxHeaderBytes: maxHeader}
	r.opsAt, err = net.Listen("tcp", r.cfg.OpsListen)
	return err
}

// announce prints the line that tells scripts that the service is ready.
func (c *call) announce(r *running) error {
	if c.json {
		return c.printJSON(map[string]any{"url": r.cfg.URL, "ca": r.caFile, "pid": os.Getpid()})
	}
	line := "ready " + r.cfg.URL
	if r.caFile != "" {
		line += " ca=" + r.caFile
	}
	_, err := fmt.Fprintln(c.stdout, line)
	return err
}

// run answers requests until the context ends, then lets those under way finish.
func (r *running) run(ctx context.Context) error {
	defer r.service.Close()
	if r.cfg.Dev {
		warner := make(chan struct{})
		warned, stop := context.WithCancel(ctx)
		go func() { defer close(warner); r.warn(warned) }()
		defer func() { stop(); <-warner }()
	}
	failed := make(chan error, 2)
	serving := 1
	go func() { failed <- serveOn(r.http, r.listener) }()
	if r.ops != nil {
		serving++
		go func() { failed <- serveOn(r.ops, r.opsAt) }()
	}
	var err error
	select {
	case err = <-failed:
		serving--
	case <-r.drained(ctx):
	}
	shutDown(r.http, r.log)
	if r.ops != nil {
		shutDown(r.ops, r.log)
	}
	r.own.end()
	for range serving {
		<-failed
	}
	return err
}

// drained is closed when the context has ended and, after that, the time to drain is over.
func (r *running) drained(ctx context.Context) <-chan struct{} {
	over := make(chan struct{})
	context.AfterFunc(ctx, func() {
		r.service.Drain()
		time.AfterFunc(r.cfg.Drain, func() { close(over) })
	})
	return over
}

// partingly answers by h, and asks clients for a new connection once the service is to end.
func (r *running) partingly(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if r.service.Draining() {
			w.Header().Set("Connection", "close")
		}
		h.ServeHTTP(w, req)
	})
}

// warn says in the log, at start and every hour, that this is development mode.
func (r *running) warn(ctx context.Context) {
	tick := time.NewTicker(time.Hour)
	defer tick.Stop()
	for {
		r.log.Warn("DEVELOPMENT MODE: simulated vendors are trusted, tokens carry ext-development; never rely on this service",
			"url", r.cfg.URL)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
