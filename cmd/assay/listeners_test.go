package main

import (
	"log/slog"
	"net"
	"net/http"
	"testing"

	"github.com/assay-attestation/assay/internal/server"
)

// Another replica sees both at once: that a provider was deleted, and that a new one has its address.
func TestListenerOfANewProviderMayHaveTheAddressOfADeletedOne(t *testing.T) {
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := free.Addr().String()
	if err := free.Close(); err != nil {
		t.Fatal(err)
	}
	l := &listeners{
		make: func(h http.Handler) *http.Server { return &http.Server{Handler: h} },
		wrap: func(l net.Listener) (net.Listener, error) { return l, nil }, log: slog.New(slog.DiscardHandler),
	}
	l.begin(&server.Server{})
	defer l.end()
	for _, provider := range []string{"one", "two", "three"} {
		wanted := server.Listener{ProviderID: provider, Address: address}
		l.set([]server.Listener{wanted})
		if l.open[wanted] == nil || len(l.open) != 1 {
			t.Errorf("provider %s: open are %v, want its listener alone", provider, l.open)
		}
	}
}
