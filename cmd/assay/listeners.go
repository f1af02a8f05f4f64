package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync"

	"github.com/pires/go-proxyproto"

	"github.com/assay-attestation/assay/internal/auth"
	"github.com/assay-attestation/assay/internal/server"
)

// listeners are those that providers have for themselves. They come and go with their providers.
type listeners struct {
	make func(http.Handler) *http.Server
	wrap func(net.Listener) (net.Listener, error)
	log  *slog.Logger

	mu      sync.Mutex
	service *server.Server // nil: not ready yet
	wanted  []server.Listener
	open    map[server.Listener]*ownListener
	work    sync.WaitGroup
}

// ownListener is an open listener.
type ownListener struct {
	*http.Server
	closed chan struct{} // when the address is free again; requests may be under way still
}

// set opens and closes what is needed for these to be the listeners.
func (l *listeners) set(wanted []server.Listener) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wanted = wanted
	if l.service != nil {
		l.follow()
	}
}

// begin opens the listeners of a service that is ready.
func (l *listeners) begin(s *server.Server) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.service, l.open = s, map[server.Listener]*ownListener{}
	l.follow()
}

// follow closes first: a new provider may have the address of one that was deleted.
func (l *listeners) follow() {
	for w := range l.open {
		if !slices.Contains(l.wanted, w) {
			l.close(w)
		}
	}
	for _, w := range l.wanted {
		if l.open[w] == nil {
			l.start(w)
		}
	}
}

// close closes one listener. The requests under way have until shutdownTime.
func (l *listeners) close(w server.Listener) {
	o := l.open[w]
	delete(l.open, w)
	l.work.Go(func() { shutDown(o.Server, l.log) })
	<-o.closed
}

// start opens one listener. A provider whose address is taken cannot be reached, which the log says; the others can.
func (l *listeners) start(w server.Listener) {
	listener, err := net.Listen("tcp", w.Address)
	if err == nil {
		listener, err = l.wrap(listener)
	}
	if err != nil {
		l.log.Error("the listener of a provider cannot be opened", "provider", w.ProviderID, "address", w.Address, "error", err)
		return
	}
	o := &ownListener{l.make(l.service.For(w.ProviderID)), make(chan struct{})}
	l.open[w] = o
	l.work.Go(func() {
		defer close(o.closed)
		if err := serveOn(o.Server, listener); !errors.Is(err, http.ErrServerClosed) {
			l.log.Error("the listener of a provider has ended", "provider", w.ProviderID, "address", w.Address, "error", err)
		}
	})
}

// end closes all listeners and waits for the requests under way.
func (l *listeners) end() {
	l.mu.Lock()
	l.service = nil
	for w := range l.open {
		l.close(w)
	}
	l.mu.Unlock()
	l.work.Wait()
}

// serveOn answers on a listener, by TLS if the server has a configuration for it.
func serveOn(s *http.Server, l net.Listener) error {
	if s.TLSConfig != nil {
		return s.ServeTLS(l, "", "")
	}
	return s.Serve(l)
}

// shutDown lets the requests under way finish, up to shutdownTime.
func shutDown(s *http.Server, log *slog.Logger) {
	deadline, cancel := context.WithTimeout(context.Background(), shutdownTime)
	defer cancel()
	err := s.Shutdown(deadline)
	if errors.Is(err, context.DeadlineExceeded) {
		log.Warn("requests under way were cut off", "after", shutdownTime.String())
		err = s.Close()
	}
	if err != nil {
		log.Error("ending a listener", "error", err)
	}
}

// withClientCAs lets callers prove who they are by certificates of these authorities; those without one may come as well.
func withClientCAs(c *tls.Config, file string) error {
	if file == "" || c == nil {
		return nil
	}
	roots, err := auth.ClientCAs(file)
	if err != nil {
		return err
	}
	c.ClientCAs, c.ClientAuth = roots, tls.VerifyClientCertIfGiven
	return nil
}

// behindProxies lets connections from the addresses named begin with the PROXY protocol, and wants them to; others may not. The
// remote address of a connection is then that of the balancer's client.
func behindProxies(l net.Listener, addresses []string) (net.Listener, error) {
	if len(addresses) == 0 {
		return l, nil
	}
	policy, err := proxyproto.PolicyFromRanges(addresses, proxyproto.REQUIRE, proxyproto.REJECT)
	if err != nil {
		return nil, fmt.Errorf("proxy_protocol: %w", err)
	}
	return &proxyproto.Listener{Listener: l, ConnPolicy: policy, ReadHeaderTimeout: headerTime}, nil
}
